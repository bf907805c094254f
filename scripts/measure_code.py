"""Prints how long functions and files of app/ are: median, 90th percentile, the largest ones by name."""

import ast
import statistics
import sys
from pathlib import Path

from scripts.rules.model import functions

ROOT = Path(__file__).resolve().parent.parent


def lengths(root: Path) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
    """Lines of each function and of each non-empty file under ``root/app``, with where they stand."""
    of_functions, of_files = [], []
    for file in sorted((root / "app").rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        name = file.relative_to(root).as_posix()
        if text.strip():
            of_files.append((len(text.splitlines()), name))
        for function in functions(ast.parse(text)):
            length = (function.end_lineno or function.lineno) - function.lineno + 1
            of_functions.append((length, f"{name}:{function.lineno} {function.name}"))
    return of_functions, of_files


def summary(kind: str, measured: list[tuple[int, str]], largest: int = 5) -> str:
    """One line of figures and the names of the largest."""
    values = [length for length, _ in measured]
    ninetieth = statistics.quantiles(values, n=10)[-1] if len(values) > 1 else values[0]
    lines = [
        f"{kind}: {len(values)}, median {statistics.median(values):.0f}, p90 {ninetieth:.0f}, largest {max(values)}"
    ]
    lines += [f"  {length:4d}  {name}" for length, name in sorted(measured, reverse=True)[:largest]]
    return "\n".join(lines)


def main() -> int:
    """Measure and print."""
    of_functions, of_files = lengths(ROOT)
    print(summary("functions", of_functions))
    print(summary("files", of_files))
    return 0


if __name__ == "__main__":
    sys.exit(main())
