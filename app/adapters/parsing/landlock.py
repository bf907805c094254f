"""A Landlock domain for the parser's process: it may read the interpreter and its packages, and no other file.

Needs Linux 5.13 with Landlock switched on, and no privilege. From 6.7 on it also refuses TCP, from 6.12 on signals and
abstract sockets that lead outside. See the kernel's Documentation/userspace-api/landlock.rst.
"""

import ctypes
import os
import sys
from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers on every architecture
_VERSION_FLAG = 1
_PATH_BENEATH = 1
_READ_FILE, _READ_DIRECTORY = 1 << 2, 1 << 3
_FILE_RIGHTS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many of the low bits name a right on files, by version of the interface; 16 from version 5 on."""
_NETWORK_SINCE_ABI, _SCOPES_SINCE_ABI = 4, 6


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _PathRule(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("directory", ctypes.c_int32))


def restrict_to_reading(directories: Iterable[str]) -> bool:
    """Refuse every file but those below ``directories``, which may be read; False where the kernel has no Landlock.

    Files that are open already stay usable. Directories that do not exist are passed over.
    """
    if sys.platform != "linux":
        return False
    libc = ctypes.CDLL(None, use_errno=True)
    abi = int(libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION_FLAG))
    if abi < 1:
        return False
    ruleset = int(libc.syscall(_CREATE_RULESET, ctypes.byref(_ruleset(abi)), ctypes.c_size_t(_size(abi)), 0))
    if ruleset < 0:
        return False
    try:
        for directory in directories:
            _allow(libc, ruleset, directory)
        return int(libc.syscall(_RESTRICT_SELF, ruleset, 0)) == 0
    finally:
        os.close(ruleset)


def _ruleset(abi: int) -> _Ruleset:
    files = (1 << _FILE_RIGHTS_BY_ABI.get(abi, 16)) - 1
    return _Ruleset(files, 0b11 if abi >= _NETWORK_SINCE_ABI else 0, 0b11 if abi >= _SCOPES_SINCE_ABI else 0)


def _size(abi: int) -> int:
    return 8 + 8 * (abi >= _NETWORK_SINCE_ABI) + 8 * (abi >= _SCOPES_SINCE_ABI)


def _allow(libc: ctypes.CDLL, ruleset: int, directory: str) -> None:
    try:
        descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        rule = _PathRule(_READ_FILE | _READ_DIRECTORY, descriptor)
        libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)
