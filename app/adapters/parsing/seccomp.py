"""A seccomp filter for the parser's process: no socket, no process, no thread, no program, no signal, no write to disk.

It needs no privilege, only ``no_new_privs``, and holds in ordinary containers. What it names is refused with EPERM, the
rest is allowed: a deny list, because what an interpreter calls differs between C libraries, and a wrong guess would
break parsing on some of them. Reading files is not its business (see ``landlock``).
"""

import ctypes
import os
import sys

_EPERM = 1
_PR_SET_SECCOMP = 22
_FILTER_MODE = 2
_ALLOW = 0x7FFF0000
_REFUSE = 0x00050000 | _EPERM
_KILL = 0x80000000
_LOAD_WORD = 0x20
_JUMP_IF_EQUAL = 0x15
_JUMP_IF_AT_LEAST = 0x35
_JUMP_IF_ANY_BIT = 0x45
_RETURN = 0x06
_NUMBER_OFFSET = 0
_ARCHITECTURE_OFFSET = 4
_ARGUMENTS_OFFSET = 16
_X32_CALLS = 0x40000000
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

# Numbers from the kernel's tables (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h).
_BOTH = {
    "clone3": 435, "io_uring_setup": 425, "pidfd_open": 434, "pidfd_send_signal": 424, "pidfd_getfd": 438,
    "openat2": 437, "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsmount": 432, "fchmodat2": 452,
    "setxattrat": 463, "removexattrat": 466,
}  # fmt: skip
_REFUSED = {
    "x86_64": _BOTH | {
        "socket": 41, "socketpair": 53, "connect": 42, "bind": 49, "listen": 50, "clone": 56, "fork": 57, "vfork": 58,
        "execve": 59, "execveat": 322, "kill": 62, "tkill": 200, "tgkill": 234, "rt_sigqueueinfo": 129,
        "rt_tgsigqueueinfo": 297, "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "bpf": 321,
        "perf_event_open": 298, "userfaultfd": 323, "add_key": 248, "request_key": 249, "keyctl": 250, "unshare": 272,
        "setns": 308, "mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "setrlimit": 160,
        "prlimit64": 302, "setpriority": 141, "sched_setaffinity": 203, "memfd_create": 319, "shmget": 29, "semget": 64,
        "msgget": 68, "mq_open": 240, "creat": 85, "truncate": 76, "ftruncate": 77, "rename": 82, "renameat": 264,
        "renameat2": 316, "mkdir": 83, "mkdirat": 258, "rmdir": 84, "link": 86, "linkat": 265, "unlink": 87,
        "unlinkat": 263, "symlink": 88, "symlinkat": 266, "mknod": 133, "mknodat": 259, "chmod": 90, "fchmod": 91,
        "fchmodat": 268, "chown": 92, "fchown": 93, "lchown": 94, "fchownat": 260, "utimensat": 280, "setxattr": 188,
        "lsetxattr": 189, "fsetxattr": 190,
    },
    "aarch64": _BOTH | {
        "socket": 198, "socketpair": 199, "connect": 203, "bind": 200, "listen": 201, "clone": 220, "execve": 221,
        "execveat": 281, "kill": 129, "tkill": 130, "tgkill": 131, "rt_sigqueueinfo": 138, "rt_tgsigqueueinfo": 240,
        "ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "bpf": 280, "perf_event_open": 241,
        "userfaultfd": 282, "add_key": 217, "request_key": 218, "keyctl": 219, "unshare": 97, "setns": 268, "mount": 40,
        "umount2": 39, "pivot_root": 41, "chroot": 51, "setrlimit": 164, "prlimit64": 261, "setpriority": 140,
        "sched_setaffinity": 122, "memfd_create": 279, "shmget": 194, "semget": 190, "msgget": 186, "mq_open": 180,
        "truncate": 45, "ftruncate": 46, "renameat": 38, "renameat2": 276, "mkdirat": 34, "linkat": 37, "unlinkat": 35,
        "symlinkat": 36, "mknodat": 33, "fchmod": 52, "fchmodat": 53, "fchown": 55, "fchownat": 54, "utimensat": 88,
        "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7,
    },
}  # fmt: skip
_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_OPENS = {"x86_64": ((2, 1), (257, 2)), "aarch64": ((56, 2),)}
"""The opening calls (number, index of the flags argument); refused only when they ask to write."""


class _Instruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("k", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("filter", ctypes.POINTER(_Instruction)))


def install() -> bool:
    """Install the filter on this process; False where the kernel or the architecture has none for us."""
    machine = os.uname().machine
    if sys.platform != "linux" or machine not in _REFUSED:
        return False
    code = _program(machine)
    instructions = (_Instruction * len(code))(*(_Instruction(*fields) for fields in code))
    program = _Program(len(code), instructions)
    libc = ctypes.CDLL(None, use_errno=True)
    return int(libc.prctl(_PR_SET_SECCOMP, _FILTER_MODE, ctypes.byref(program), 0, 0)) == 0


def _program(machine: str) -> list[tuple[int, int, int, int]]:
    code = [
        (_LOAD_WORD, 0, 0, _ARCHITECTURE_OFFSET),
        (_JUMP_IF_EQUAL, 1, 0, _ARCHITECTURES[machine]),
        (_RETURN, 0, 0, _KILL),
        (_LOAD_WORD, 0, 0, _NUMBER_OFFSET),
    ]
    if machine == "x86_64":
        code += [(_JUMP_IF_AT_LEAST, 0, 1, _X32_CALLS), (_RETURN, 0, 0, _REFUSE)]
    for number in _REFUSED[machine].values():
        code += [(_JUMP_IF_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE)]
    for number, flags in _OPENS[machine]:
        code += [
            (_JUMP_IF_EQUAL, 0, 4, number),
            (_LOAD_WORD, 0, 0, _ARGUMENTS_OFFSET + 8 * flags),
            (_JUMP_IF_ANY_BIT, 0, 1, _WRITE_FLAGS),
            (_RETURN, 0, 0, _REFUSE),
            (_RETURN, 0, 0, _ALLOW),
        ]
    return [*code, (_RETURN, 0, 0, _ALLOW)]
