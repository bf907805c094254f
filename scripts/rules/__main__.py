"""Applies every rule to every Python file of the repository: ``python -m scripts.rules [path ...]``."""

import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.rules import doors, failures, logs, rooms, shape
from scripts.rules.model import Finding, Source, findings

ROOT = Path(__file__).resolve().parents[2]
TREES = ("app", "benchmarks", "examples", "migrations", "scripts", "tests")
RULES = [*rooms.RULES, *logs.RULES, *doors.RULES, *failures.RULES, *shape.RULES]


def python_files(root: Path) -> Iterator[Path]:
    """The Python files of the repository's own trees, in order."""
    for tree in TREES:
        yield from sorted((root / tree).rglob("*.py"))


def check(root: Path, files: list[Path]) -> list[Finding]:
    """What all rules say about the files."""
    result: list[Finding] = []
    for file in files:
        source = Source.parse(file.relative_to(root).as_posix(), file.read_text(encoding="utf-8"))
        result += findings(source, RULES)
    return result


def main(arguments: list[str]) -> int:
    """Print each finding; 1 where there is any."""
    files = [Path(argument).resolve() for argument in arguments] or list(python_files(ROOT))
    found = check(ROOT, files)
    for finding in found:
        print(finding)
    if found:
        print(f"\n{len(found)} findings. Where a rule is wrong for once: # rule: allow <name> because <reason>")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
