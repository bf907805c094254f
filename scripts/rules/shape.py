"""Rules on names, opening sentences and sizes."""

import ast
from collections.abc import Iterator

from scripts.rules.model import WHOLE_FILE, Rule, Source, functions

MAX_FUNCTION_LINES = 60
MAX_FILE_LINES = 400
_ATTICS = {"util", "utils", "helper", "helpers", "common", "misc"}
_EMPTY_NAMES = ("Manager", "Helper", "Handler", "Impl", "Utils")
_OURS = ("app", "scripts", "examples", "benchmarks")


def _attic(source: Source) -> Iterator[int]:
    if _ATTICS & {source.path.stem, *source.path.parent.parts}:
        yield WHOLE_FILE


def _empty_name(source: Source) -> Iterator[int]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ClassDef) and node.name.endswith(_EMPTY_NAMES):
            yield node.lineno


def _opening(source: Source) -> Iterator[int]:
    if not source.is_under(*_OURS):
        return
    paragraph = (ast.get_docstring(source.tree) or "").split("\n\n")[0]
    if not paragraph.endswith(".") or "\n" in paragraph:
        yield WHOLE_FILE


def _long_function(source: Source) -> Iterator[int]:
    if not source.is_under(*_OURS):
        return
    for function in functions(source.tree):
        if (function.end_lineno or function.lineno) - function.lineno + 1 > MAX_FUNCTION_LINES:
            yield function.lineno


def _long_file(source: Source) -> Iterator[int]:
    if source.is_under(*_OURS) and len(source.text.splitlines()) > MAX_FILE_LINES:
        yield WHOLE_FILE


RULES = [
    Rule("attic", "a name that says nothing collects everything; name the file after the thing it is about", _attic),
    Rule("empty-name", "say what it is or does in the field's own word: Pool, Registry, Dispatcher, ...", _empty_name),
    Rule("opening", "open the module with one sentence, on one line, that says what it is for", _opening),
    Rule(
        "long-function", f"over {MAX_FUNCTION_LINES} lines: name its stages and let each be a function", _long_function
    ),
    Rule(
        "long-file", f"over {MAX_FILE_LINES} lines: make it a package of the same name; no importer changes", _long_file
    ),
]
