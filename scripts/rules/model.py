"""What a rule is, what it sees, and how a line is excused from it."""

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath

#: The line of a finding that concerns the whole file; its escape may stand on any line.
WHOLE_FILE = 0
_ESCAPE = re.compile(r"#\s*rule: allow (?P<rule>[a-z-]+) because \S")


@dataclass(frozen=True, slots=True)
class Source:
    """One Python file: its path relative to the repository, its text and its tree."""

    path: PurePosixPath
    text: str
    tree: ast.Module = field(repr=False)

    @classmethod
    def parse(cls, path: str, text: str) -> "Source":
        """Read a file's text; raises SyntaxError."""
        return cls(PurePosixPath(path), text, ast.parse(text))

    def is_under(self, *prefixes: str) -> bool:
        """Whether the file is one of these paths or lies in one of these folders."""
        return any(self.path == PurePosixPath(prefix) or self.path.is_relative_to(prefix) for prefix in prefixes)

    def escapes(self) -> dict[int, str]:
        """Line number to rule name, for each ``# rule: allow <name> because <reason>``."""
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        comments = (token for token in tokens if token.type == tokenize.COMMENT)
        return {token.start[0]: match["rule"] for token in comments if (match := _ESCAPE.search(token.string))}


@dataclass(frozen=True, slots=True)
class Rule:
    """A named check: yields the line numbers at which a file breaks it; the lesson says what to do instead."""

    name: str
    lesson: str
    check: Callable[[Source], Iterator[int]]


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One place that breaks one rule."""

    path: str
    line: int
    rule: str
    lesson: str

    def __str__(self) -> str:
        return f"{self.path}:{max(self.line, 1)}: {self.rule}: {self.lesson}"


def findings(source: Source, rules: list[Rule]) -> list[Finding]:
    """What the rules say about a file, less what is excused; an escape that excuses nothing is a finding itself."""
    escapes = source.escapes()
    used: set[int] = set()
    result = []
    for rule in rules:
        for line in sorted(set(rule.check(source))):
            excuse = _excuse(escapes, rule.name, line)
            if excuse is None:
                result.append(Finding(str(source.path), line, rule.name, rule.lesson))
            else:
                used.add(excuse)
    stale = sorted(set(escapes) - used)
    lesson = "this escape excuses nothing any more; remove it"
    return result + [Finding(str(source.path), line, "stale-escape", lesson) for line in stale]


def _excuse(escapes: dict[int, str], rule: str, line: int) -> int | None:
    """The line of the escape that covers a finding: on the line itself, or on the one above it."""
    if line == WHOLE_FILE:
        return next((number for number, name in escapes.items() if name == rule), None)
    return next((number for number in (line, line - 1) if escapes.get(number) == rule), None)


def dotted(node: ast.expr) -> str:
    """The dotted name of an expression such as ``asyncio.create_task``, with calls and subscripts looked through."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attribute):
            return f"{dotted(value)}.{attribute}"
        case ast.Call(func=inner) | ast.Subscript(value=inner) | ast.Await(value=inner):
            return dotted(inner)
    return ""


def last(name: str) -> str:
    """The last part of a dotted name."""
    return name.rsplit(".", 1)[-1]


def calls(source: Source) -> Iterator[tuple[ast.Call, str]]:
    """Every call with the dotted name of what is called."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            yield node, dotted(node.func)


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method, nested ones too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
