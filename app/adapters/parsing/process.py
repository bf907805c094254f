"""One child process under a clock: its output read up to a bound, its whole group killed and reaped whatever happens."""

import os
import select
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_ENVIRONMENT = {"LC_ALL": "C.UTF-8"}
_READ_BYTES = 1 << 20
_POLL_SECONDS = 0.001

Cause = Literal["ended", "timed_out", "wrote_too_much", "killed"]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a process ended; ``code`` is its exit status, or minus the signal that killed it."""

    cause: Cause
    code: int
    output: bytes


class Process:
    """Runs a command with ``stdin_path`` as its input, once; ``kill`` may be called from any thread at any time.

    Nothing leads from this process into the other but that file: no environment, no descriptors, no directory.
    """

    def __init__(self, command: Sequence[str], stdin_path: Path, *, wall_seconds: float, max_output_bytes: int) -> None:
        self._command = command
        self._stdin_path = stdin_path
        self._wall_seconds = wall_seconds
        self._max_output_bytes = max_output_bytes
        self._lock = threading.Lock()
        self._pid: int | None = None
        self._is_killed = False

    def run(self) -> Ending:
        """Run to the end, blocking this thread for at most ``wall_seconds``; raises OSError when it cannot start."""
        with tempfile.TemporaryDirectory(prefix="insula-parse-") as directory, self._stdin_path.open("rb") as file:
            process = subprocess.Popen(  # noqa: S603  the command is ours; the file is input, never an argument
                self._command,
                stdin=file,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=directory,
                env=_ENVIRONMENT,
                start_new_session=True,
            )
            assert process.stdout is not None
            with process.stdout:
                self._started(process.pid)
                try:
                    cause, output = self._read(process.stdout.fileno(), time.monotonic() + self._wall_seconds)
                finally:
                    _kill_group(process.pid)
                    process.returncode = self._reap(process.pid)
            return Ending("killed" if self._is_killed else cause, process.returncode, output)

    def kill(self) -> None:
        """Kill the process and all that it started; before the start it makes the start end at once."""
        with self._lock:
            self._is_killed = True
            if self._pid is not None:
                _kill_group(self._pid)

    def _started(self, pid: int) -> None:
        with self._lock:
            self._pid = pid
            if self._is_killed:
                _kill_group(pid)

    def _reap(self, pid: int) -> int:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with self._lock:  # from here on the number may belong to another process
            self._pid = None
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    def _read(self, descriptor: int, deadline: float) -> tuple[Cause, bytes]:
        output = bytearray()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN | select.POLLHUP)
        while (left := deadline - time.monotonic()) > 0:
            if not poll.poll(left * 1000):
                break
            block = os.read(descriptor, _READ_BYTES)
            if not block:
                return self._await_end(deadline), bytes(output)
            output += block
            if len(output) > self._max_output_bytes:
                return "wrote_too_much", b""
        return "timed_out", b""

    def _await_end(self, deadline: float) -> Cause:
        assert self._pid is not None
        while os.waitid(os.P_PID, self._pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
            if time.monotonic() > deadline:
                return "timed_out"
            time.sleep(_POLL_SECONDS)
        return "ended"


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        return
