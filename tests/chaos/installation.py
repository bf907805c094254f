"""An installation in processes of its own, to be killed and started again."""

import os
import signal
import socket
import time
from pathlib import Path

import httpx
import orjson
import psutil

from tests.chaos.processes import ROOT, Launch, Running, fork


class Installation:
    """One data directory, and at most one process group that serves it, always on the same port."""

    def __init__(self, data_dir: Path, *, launch: Launch = fork, **settings: str) -> None:
        self.data_dir = data_dir
        self._launch = launch
        self._log = data_dir.parent / "service.log"
        self._port = _free_port()
        self._process: Running | None = None
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("INSULA_", "COV", "PYTHON"))}
        compiled = {"PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(data_dir.parent / "compiled")}
        wanted = {"data_dir": str(data_dir), "port": str(self._port), "job_poll_seconds": "0.1", **settings}
        self._environment = kept | compiled | {f"INSULA_{name.upper()}": value for name, value in wanted.items()}

    @property
    def log(self) -> str:
        """What the processes wrote, all of them one after the other."""
        return self._log.read_text(errors="replace")

    def start(self, point: str | None = None) -> None:
        """Start a process, to be killed at a point; it may still be on its way up when this returns."""
        assert self._process is None
        self._process = self._launch(self._environment, self._log, point)

    def wait_until_up(self, seconds: float = 60) -> bool:
        """Whether the process serves; False as soon as it has ended instead."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.is_dead:
                return False
            if self._is_ready() and (self.data_dir / "credentials.json").exists():
                return True
            time.sleep(0.02)
        raise AssertionError(f"not up after {seconds} s:\n{self.log[-3000:]}")

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self._port}/health/ready", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    @property
    def is_dead(self) -> bool:
        """Whether the process has ended."""
        return self._process is None or not self._process.is_alive()

    def wait_until_dead(self, seconds: float = 30) -> None:
        """Wait for the process to end by itself."""
        assert self._process is not None
        self._process.wait(seconds)
        self._process = None

    def kill(self) -> None:
        """End the process group at once, and see to it that nothing that it started outlives it."""
        assert self._process is not None
        children = psutil.Process(self._process.pid).children(recursive=True)
        self._signal(signal.SIGKILL)
        self.wait_until_dead()
        _, alive = psutil.wait_procs(children, timeout=5)
        assert not alive, f"outlived the service: {alive}"

    def stop(self) -> float:
        """Ask the process to end, and return after how many seconds it had."""
        began = time.monotonic()
        self._signal(signal.SIGTERM)
        self.wait_until_dead()
        return time.monotonic() - began

    def close(self) -> None:
        """Leave nothing running."""
        if not self.is_dead:
            self._signal(signal.SIGKILL)
            self.wait_until_dead()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.pid, number)

    def client(self) -> httpx.Client:
        """An HTTP client of the first tenant's owner."""
        key = orjson.loads((self.data_dir / "credentials.json").read_bytes())["api_key"]
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self._port}/api/v1/",
            headers={"Authorization": f"Bearer {key}"},
            timeout=30,
            trust_env=False,
        )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
