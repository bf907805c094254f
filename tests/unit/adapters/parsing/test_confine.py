"""Each layer holds alone, with the others switched off."""

import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the layers are Linux's")

ATTEMPT = """
import ctypes, os, signal, socket, sys
from app.adapters.parsing import confine, landlock, seccomp
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(38, 1, 0, 0, 0)
def outcome(deed):
    try:
        deed()
    except OSError as error:
        return type(error).__name__
    return "done"
"""


def after(layer: str, deed: str) -> str:
    """Run a deed in a fresh interpreter that has only this layer, and tell how it went."""
    code = f"{ATTEMPT}\nassert {layer}\nprint(outcome(lambda: {deed}))"
    root = Path(__file__).parents[4]
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, cwd=root, check=False
    )
    return ran.stdout.strip() or ran.stderr


@pytest.mark.parametrize(
    "deed",
    [
        "socket.socket()",
        "socket.socketpair()",
        "os.fork()",
        "os.execv('/bin/true', ['true'])",
        "os.kill(os.getppid(), signal.SIGTERM)",
        "open('{path}', 'w')",
        "open('{path}', 'a')",
        "os.truncate('{path}', 0)",
        "os.unlink('{path}')",
        "os.rename('{path}', '{path}2')",
        "os.chmod('{path}', 0)",
        "os.mkdir('{path}3')",
        "os.symlink('/', '{path}4')",
        "os.memfd_create('x')",
    ],
)
def test_seccomp_alone_refuses(tmp_path: Path, deed: str) -> None:
    path = tmp_path / "victim"
    path.write_text("x")
    assert after("seccomp.install()", deed.format(path=path)) == "PermissionError"
    assert [entry.name for entry in tmp_path.iterdir()] == ["victim"]
    assert path.read_text() == "x"


def test_seccomp_leaves_reading_alone(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    assert after("seccomp.install()", f"open('{tmp_path}/f').read()") == "done"


def test_landlock_alone_refuses_other_files_and_allows_its_own(tmp_path: Path) -> None:
    for name in ("allowed", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f").write_text("x")
    layer = f"landlock.restrict_to_reading(['{tmp_path}/allowed', '/does/not/exist'])"
    assert after(layer, f"open('{tmp_path}/allowed/f').read()") == "done"
    for deed in (
        f"open('{tmp_path}/other/f')",
        f"open('{tmp_path}/allowed/f', 'w')",
        f"os.mkdir('{tmp_path}/allowed/d')",
    ):
        assert after(layer, deed) == "PermissionError"


def test_an_empty_network_namespace_alone_has_no_way_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        connect = f"socket.create_connection(('127.0.0.1', {listener.getsockname()[1]}), 2)"
        assert after("True", connect) == "done"
        outcome = after("confine.leave_network(libc) or print('not permitted')", connect)
    if outcome.startswith("not permitted"):
        pytest.skip("this system permits no network namespaces")
    assert outcome in {"OSError", "ConnectionRefusedError"}


def test_limits_alone_bound_files_and_memory(tmp_path: Path) -> None:
    layer = "confine._limit(300 << 20, 5) is None"
    assert after(layer, f"open('{tmp_path}/f', 'wb', 0).write(b'x')") == "OSError"
    assert "MemoryError" in after(layer, "bytearray(400 << 20)")
