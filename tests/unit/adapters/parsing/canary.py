"""A parser that does what its file tells it to: the part of an attacker who has taken over the child."""

import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import BinaryIO

from app.adapters.parsing.base import ParsedDocument

_HOARD: list[bytes] = []


def parse(file: BinaryIO, max_chars: int) -> ParsedDocument:
    deed, _, argument = file.read().decode().partition(" ")
    return ParsedDocument(str(_DEEDS[deed](argument)))


def _refusal(deed: Callable[[], object]) -> str:
    """Give the name of the error that stops a deed, or what came of it."""
    try:
        return f"done {deed()!r}"
    except OSError as error:
        return type(error).__name__


def _is_open(descriptor: int) -> bool:
    return _refusal(lambda: os.fstat(descriptor)).startswith("done")


def _write(path: str) -> str:
    def write() -> int:
        with open(path, "wb") as file:  # noqa: PTH123
            return file.write(b"x" * 1000)

    return _refusal(write)


def _threaten(pid: str) -> str:
    return _refusal(lambda: os.kill(int(pid), signal.SIGKILL))


def _hoard(_: str) -> str:
    while True:
        _HOARD.append(bytes(8 << 20))


def _spin(_: str) -> str:
    while True:
        pass


def _flood(_: str) -> str:
    while True:
        os.write(1, b"x" * (1 << 20))


def _answer(text: str) -> str:
    os.write(1, text.encode())
    os._exit(0)


def _sleep(_: str) -> str:
    time.sleep(3600)
    return ""


def _exit(code: str) -> str:
    os._exit(int(code))


_DEEDS: dict[str, Callable[[str], str]] = {
    "connect": lambda port: _refusal(lambda: socket.create_connection(("127.0.0.1", int(port)), 2)),
    "environment": lambda _: repr(sorted(os.environ)),
    "read": lambda path: _refusal(lambda: open(path, "rb").read(100)),  # noqa: PTH123, SIM115
    "write": _write,
    "remove": lambda path: _refusal(lambda: os.unlink(path)),  # noqa: PTH108
    "list": lambda path: _refusal(lambda: os.listdir(path)),  # noqa: PTH208
    "fork": lambda _: _refusal(os.fork),
    "execute": lambda _: _refusal(lambda: os.execv("/bin/true", ["true"])),
    "kill": _threaten,
    "descriptors": lambda _: repr([fd for fd in range(64) if _is_open(fd)]),
    "hoard": _hoard,
    "spin": _spin,
    "flood": _flood,
    "answer": _answer,
    "sleep": _sleep,
    "exit": _exit,
    "segfault": lambda _: str(ctypes.string_at(0)),
    "raise": lambda text: str(1 / (len(text) - len(text))),
    "uid": lambda _: repr((os.getuid(), sys.flags.isolated)),
}
