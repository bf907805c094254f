"""Gives up everything that a parser does not need, for good, in the process that calls it.

| layer | takes away | where |
|---|---|---|
| ``rlimits`` | memory, CPU time, file sizes, descriptors, core dumps, processes (not of root) | every POSIX |
| ``no_new_privs`` | gaining rights by setuid programs | Linux |
| ``no_capabilities`` | root's powers, so that root's child cannot lift the limits or the walls | Linux, as root |
| ``seccomp`` | sockets, processes, threads, programs, signals, writing | Linux on x86-64 and arm64 |
| ``landlock`` | reading any file but the interpreter's and its packages' | Linux 5.13+ with Landlock |
| ``no_network`` | the network, by an empty namespace; only where seccomp is missing | Linux, as root or with user namespaces |

Not covered: without Landlock the process reads what its user may read, the environment of the process that started it
among it (``/proc``); on systems other than Linux only the limits hold, and the network is open. The layers that took
hold travel with the result, and the parent says so once when one is missing. Side channels are out of scope.
"""

import ctypes
import resource
import signal
import sys
from collections.abc import Iterable

from app.adapters.parsing import landlock, seccomp

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CAPABILITY_VERSION_3 = 0x20080522
_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_MOST_DESCRIPTORS = 64


def confine(readable: Iterable[str], *, memory_bytes: int, cpu_seconds: int, wall_seconds: int) -> list[str]:
    """Confine this process and name the layers that took hold; only files below ``readable`` stay readable.

    ``memory_bytes`` bounds the address space. After ``cpu_seconds`` of processor time or ``wall_seconds`` the kernel
    ends the process, should its parent not be there to do it.
    """
    _limit(memory_bytes, cpu_seconds)
    signal.alarm(wall_seconds)
    layers = {"rlimits": True}
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        layers["no_new_privs"] = libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
        layers["landlock"] = landlock.restrict_to_reading(readable)
        layers["no_capabilities"] = _drop_capabilities(libc)
        layers["seccomp"] = seccomp.install()
        if not layers["seccomp"]:
            layers["no_network"] = leave_network(libc)
    return [name for name, holds in layers.items() if holds]


def _limit(memory_bytes: int, cpu_seconds: int) -> None:
    limits = {
        resource.RLIMIT_AS: (memory_bytes, memory_bytes),
        resource.RLIMIT_CPU: (cpu_seconds, cpu_seconds + 1),
        resource.RLIMIT_FSIZE: (0, 0),
        resource.RLIMIT_NOFILE: (_MOST_DESCRIPTORS, _MOST_DESCRIPTORS),
        resource.RLIMIT_NPROC: (0, 0),
        resource.RLIMIT_CORE: (0, 0),
    }
    for limit, wanted in limits.items():
        ceiling = resource.getrlimit(limit)[1]
        is_free = ceiling == resource.RLIM_INFINITY
        resource.setrlimit(limit, wanted if is_free else (min(wanted[0], ceiling), min(wanted[1], ceiling)))


def _drop_capabilities(libc: ctypes.CDLL) -> bool:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    none = (ctypes.c_uint32 * 6)()
    return int(libc.capset(header, none)) == 0


def leave_network(libc: ctypes.CDLL) -> bool:
    """Move this process into a network namespace without interfaces; False where that is not permitted."""
    return any(int(libc.unshare(flags)) == 0 for flags in (_CLONE_NEWNET, _CLONE_NEWUSER | _CLONE_NEWNET))
