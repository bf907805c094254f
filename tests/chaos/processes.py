"""Starts the service in a process group of its own: as a user does, or quicker, forked from a process that has imported it."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).resolve().parents[2]


class Running(Protocol):
    """A process, and the leader of its group."""

    @property
    def pid(self) -> int:
        """Its number."""
        ...

    def is_alive(self) -> bool:
        """Whether it runs."""
        ...

    def wait(self, seconds: float) -> None:
        """Wait until it has ended; raises TimeoutError."""
        ...


#: Starts a process with this environment, writing to this file, that is killed at this point where one is given.
Launch = Callable[[Mapping[str, str], Path, str | None], Running]


class _Commanded:
    """A process that was started by its command."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self.pid = process.pid

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def wait(self, seconds: float) -> None:
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError from error


class _Forked:
    """A process that was forked."""

    def __init__(self, process: multiprocessing.process.BaseProcess) -> None:
        self._process = process
        assert process.pid is not None
        self.pid = process.pid

    def is_alive(self) -> bool:
        return self._process.is_alive()

    def wait(self, seconds: float) -> None:
        self._process.join(seconds)
        if self._process.is_alive():
            raise TimeoutError


def command(environment: Mapping[str, str], log: Path, point: str | None) -> Running:
    """Start the service by its command line."""
    assert point is None
    with log.open("ab") as output:
        return _Commanded(
            subprocess.Popen(
                [sys.executable, "-m", "app.cli", "up"],
                cwd=ROOT,
                env=dict(environment),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        )


def fork(environment: Mapping[str, str], log: Path, point: str | None) -> Running:
    """Fork the service from a process that has imported it, which saves a second each time."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.chaos.victim", "qdrant_edge"])
    process = context.Process(target=_serve, args=(dict(environment), str(log), point))
    process.start()
    return _Forked(process)


def _serve(environment: Mapping[str, str], log: str, point: str | None) -> None:
    from tests.chaos import victim  # noqa: PLC0415 - in the forked process, which has it already

    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.environ.clear()
    os.environ.update(environment)
    victim.run(point)
