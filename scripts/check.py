"""Runs every static check at once and says, for each that fails, what to do."""

import os
import subprocess
import sys
import sysconfig
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sysconfig.get_path("scripts"))


@dataclass(frozen=True, slots=True)
class Step:
    """A check: its command, and what to do when it says no."""

    name: str
    command: list[str]
    advice: str


@dataclass(frozen=True, slots=True)
class Result:
    """How a step went; ``seconds`` of wall time."""

    step: Step
    is_clean: bool
    output: str
    seconds: float


STEPS = [
    Step("types", [str(BIN / "mypy"), "--no-error-summary"], "give it the type it has; strict covers tests too"),
    Step("format", [str(BIN / "ruff"), "format", "--check", "--quiet", "."], "make format"),
    Step(
        "lint",
        [str(BIN / "ruff"), "check", "--quiet", "."],
        "make format repairs what it can; a noqa names its rule and why",
    ),
    Step("imports", [str(BIN / "lint-imports"), "--no-logo"], "each broken contract says where the import belongs"),
    Step("rules", [sys.executable, "-m", "scripts.rules"], "each line says what to do instead"),
    Step("locks", [sys.executable, "-m", "scripts.check_locks"], "make lock, and commit requirements/*.txt"),
]


def run(step: Step) -> Result:
    """Run one step from the root of the repository."""
    start = time.monotonic()
    wide = os.environ | {"COLUMNS": "160"}
    done = subprocess.run(step.command, cwd=ROOT, env=wide, capture_output=True, text=True, check=False)
    return Result(step, done.returncode == 0, (done.stdout + done.stderr).strip(), time.monotonic() - start)


def main() -> int:
    """Run all steps, print them in order, 1 where any failed."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(run, STEPS))
    for result in results:
        print(f"{'ok    ' if result.is_clean else 'FAILED'} {result.step.name:8} {result.seconds:5.1f} s")
    failed = [result for result in results if not result.is_clean]
    for result in failed:
        print(f"\n--- {result.step.name}\n{result.output}\n=> {result.step.advice}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
