"""Kills the service at random moments while documents are in work, and proves that nothing is lost and nothing doubled.

`python -m benchmarks.kill` runs the service as its user does (`python -m app.cli up`, real embeddings) in a directory of
its own. The seed that it prints replays the files and the moments: `--seed 7`.
"""

import argparse
import asyncio
import random
import tempfile
import time
from pathlib import Path

from app.adapters.embeddings import build_embedder
from tests.chaos.installation import Installation
from tests.chaos.ledger import Ledger, make_files
from tests.chaos.oracle import Oracle
from tests.chaos.processes import command

_PATIENCE_SECONDS = 600


def main() -> None:
    """Parse the arguments, run, and print what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=40)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--sections", type=int, default=16, help="chunks of a file, about")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="insula-kill-") as directory:
        installation = Installation(Path(directory) / "data", launch=command, log_level="warning")
        try:
            _run(installation, arguments)
        finally:
            installation.close()


def _run(installation: Installation, arguments: argparse.Namespace) -> None:
    dice, ledger = random.Random(arguments.seed), Ledger(installation.data_dir.parent / "ledger")
    files = make_files(arguments.documents, seed=arguments.seed, sections=arguments.sections)
    print(f"first start {_start(installation):.1f} s")
    began = time.monotonic()
    with installation.client() as client:
        assert all(ledger.upload(client, name, content) for name, content in files.items())
    print(f"{len(files)} uploads acknowledged in {time.monotonic() - began:.1f} s")
    for number in range(arguments.kills):
        lived = dice.uniform(0.1, 3.0)
        time.sleep(lived)
        ready = _count(installation, "ready")
        installation.kill()
        print(f"kill {number + 1} after {lived:.1f} s with {ready} ready; up again in {_start(installation):.1f} s")
    _wait_until_processed(installation)
    print(
        f"all processed {time.monotonic() - began:.1f} s after the first upload; stopped in {installation.stop():.2f} s"
    )
    embedder = asyncio.run(build_embedder("local", threads=1))
    print(Oracle(embedder).judge(installation.data_dir, ledger))


def _start(installation: Installation) -> float:
    began = time.monotonic()
    installation.start()
    assert installation.wait_until_up(), installation.log
    return time.monotonic() - began


def _count(installation: Installation, status: str) -> int:
    with installation.client() as client:
        return len(client.get("documents", params={"status": status, "limit": 100}).json()["data"])


def _wait_until_processed(installation: Installation) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while _count(installation, "processing"):
        assert time.monotonic() < deadline, installation.log
        time.sleep(0.2)


if __name__ == "__main__":
    main()
