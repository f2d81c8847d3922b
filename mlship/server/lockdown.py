"""What a process gives up before it opens a stranger's model: network, other programs, writing, and memory without end.

Several walls, each as good as this system has it; `lock_down` says which ones stand. Linux on x86-64 and 64-bit ARM has all of
them, macOS the limits and the audit hook. Nothing here can be undone by the process itself. Standard library only.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CLONE_NEWNET, CLONE_NEWUSER = 0x40000000, 0x10000000
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 1, 4, 38, 22, 2


@dataclass(frozen=True)
class Limits:
    """memory: bytes of private memory, 0 for no limit. cpu_s: seconds of processor time. file_size: bytes of one file written."""

    memory: int = 0
    cpu_s: int = 300
    file_size: int = 64 * 2**20
    open_files: int = 1024


def lock_down(limits: Limits, writable: Path) -> tuple[str, ...]:
    """Takes the rights away, for good. Called before threads exist and before anything of the model is touched.

    writable: the only folder in which files may be made. Returns the protections that took: `limits`, `network-namespace`,
    `ends-with-parent`, `no-new-privileges`, `read-only-files`, `system-calls`, `audit-hook`.
    """
    sys.dont_write_bytecode = True
    took = ["limits"]
    _limit(limits)
    if sys.platform == "linux":
        walls: tuple[tuple[str, Callable[[], bool]], ...] = (
            ("network-namespace", _leave_network),
            ("ends-with-parent", _end_with_parent),  # after the namespace: the kernel forgets it when rights change
            ("no-new-privileges", _no_new_privileges),
            ("read-only-files", lambda: _landlock(writable)),
            ("system-calls", _seccomp),
        )
        took += [name for name, raise_wall in walls if raise_wall()]
    sys.addaudithook(_audit(writable))
    return (*took, "audit-hook")


# limits


def _limit(limits: Limits) -> None:
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_CPU, limits.cpu_s)
    _lower(resource.RLIMIT_FSIZE, limits.file_size)
    _lower(resource.RLIMIT_NOFILE, limits.open_files)
    if limits.memory:
        # private writable memory counts, and address space generously: threads reserve far more than they use
        _lower(resource.RLIMIT_DATA, limits.memory)
        _lower(resource.RLIMIT_AS, limits.memory + 64 * 2**30)


def _lower(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    limit = value if hard == resource.RLIM_INFINITY else min(value, hard)
    try:
        resource.setrlimit(kind, (limit, limit))
    except (ValueError, OSError):
        # macOS refuses limits below what is in use already
        return


# Linux


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def _leave_network() -> bool:
    """A network namespace of its own has not even a loopback. Root needs no user namespace, and keeps its file rights so."""
    libc = _libc()
    return any(libc.unshare(flags) == 0 for flags in (CLONE_NEWNET, CLONE_NEWUSER | CLONE_NEWNET))


def _end_with_parent() -> bool:
    """A model that is still loading does not outlive the command that asked."""
    return bool(_libc().prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) == 0)


def _no_new_privileges() -> bool:
    libc = _libc()
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    return bool(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)


_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same numbers on both machines (asm-generic/unistd.h)
_RULE_PATH_BENEATH = 1
# linux/landlock.h, by the version of the interface that brought them; reading stays free, whatever is no plain file apart
_WRITING = ((1, 0b1_1111_1111_0011), (2, 1 << 13), (3, 1 << 14))
_EXECUTE = 1
_MAKE_SPECIAL = 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11  # character devices, sockets, pipes, block devices


def _landlock(writable: Path) -> bool:
    """Files can be written, made and removed only below `writable`, and no program can be started."""
    libc = _libc()
    version = libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    if version < 1:
        return False
    rights = sum(bits for since, bits in _WRITING if version >= since)
    attributes = struct.pack("=Q", rights)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    if ruleset < 0:
        return False
    try:
        in_folder = rights & ~(_EXECUTE | _MAKE_SPECIAL)
        to_device = in_folder & (1 << 1 | 1 << 14)
        for path, granted in ((writable, in_folder), (Path("/dev/null"), to_device)):
            handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
            rule = struct.pack("=Qi", granted, handle)
            failed = libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, ctypes.c_uint32(0))
            os.close(handle)
            if failed:
                return False
        return bool(libc.syscall(_RESTRICT_SELF, ruleset, ctypes.c_uint32(0)) == 0)
    finally:
        os.close(ruleset)


@dataclass(frozen=True)
class _Machine:
    """System call numbers of one processor family (asm/unistd_64.h, asm-generic/unistd.h)."""

    audit: int
    refused: tuple[int, ...]
    socketpair: int
    clone: int
    clone3: int
    own: tuple[int, ...]  # kill, tgkill: only of the process itself
    unnamed: tuple[int, ...]  # prlimit64, sched_setaffinity: only of the caller, by the number 0
    ioctl: int


# refused: socket fork vfork execve execveat ptrace process_vm_readv process_vm_writev connect bind listen accept accept4 mount
# umount2 pivot_root chroot unshare setns bpf keyctl add_key request_key perf_event_open init_module finit_module
# delete_module kexec_load io_uring_setup userfaultfd pidfd_open pidfd_getfd pidfd_send_signal open_by_handle_at
# tkill rt_sigqueueinfo rt_tgsigqueueinfo, and io_uring_enter io_uring_register name_to_handle_at
# what Landlock leaves open of files: chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes futimesat
# utimensat setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr removexattrat mknod mknodat
# open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr fanotify_init quotactl quotactl_fd acct swapon swapoff
# what reaches other processes: setpriority ioprio_set sched_setparam sched_setscheduler sched_setattr kcmp process_madvise
# process_mrelease migrate_pages move_pages shmget shmat shmctl semget msgget mq_open vhangup
# what root could do to the machine: settimeofday clock_settime adjtimex clock_adjtime sethostname setdomainname reboot syslog
# kexec_file_load iopl ioperm modify_ldt
_COMMON = (425, 426, 427, 424, 434, 438, 428, 429, 430, 431, 432, 433, 440, 442, 443, 448, 452, 463, 466)  # since Linux 5.1
_MACHINES = {
    "x86_64": _Machine(
        audit=0xC000003E,
        refused=(
            *_COMMON, 41, 57, 58, 59, 322, 101, 310, 311, 42, 49, 50, 43, 288, 165, 166, 155, 161, 272, 308, 321, 250, 248, 249, 298,
            175, 313, 176, 246, 323, 304, 200, 129, 297, 303, 90, 91, 268, 92, 93, 94, 260, 132, 235, 261, 280, 188, 189, 190,
            197, 198, 199, 133, 259, 300, 179, 163, 167, 168, 141, 251, 142, 144, 314, 312, 256, 279, 29, 30, 31, 64, 68, 240,
            153, 164, 227, 159, 305, 170, 171, 169, 103, 320, 172, 173, 154,
        ),
        socketpair=53,
        clone=56,
        clone3=435,
        own=(62, 234),
        unnamed=(302, 203),
        ioctl=16,
    ),
    "aarch64": _Machine(
        audit=0xC00000B7,
        refused=(
            *_COMMON, 198, 221, 281, 117, 270, 271, 203, 200, 201, 202, 242, 40, 39, 41, 51, 97, 268, 280, 219, 217, 218, 241, 105,
            273, 106, 104, 282, 265, 130, 138, 240, 264, 52, 53, 55, 54, 88, 5, 6, 7, 14, 15, 16, 33, 262, 60, 89, 224, 225, 140,
            30, 118, 119, 274, 272, 238, 239, 194, 196, 195, 190, 186, 180, 58, 170, 112, 171, 266, 161, 162, 142, 116, 294,
        ),
        socketpair=199,
        clone=220,
        clone3=435,
        own=(129, 131),
        unnamed=(261, 122),
        ioctl=29,
    ),
}  # fmt: skip

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _REFUSE, _NO_SUCH_CALL = 0x7FFF0000, 0x00050000 | 1, 0x00050000 | 38  # SECCOMP_RET_ERRNO with EPERM, ENOSYS
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = (
    0,
    4,
    16,
    24,
)  # offsets in struct seccomp_data, little-endian low halves
_BEYOND_STREAM, _CLONE_THREAD, _X32 = 0xE, 0x00010000, 0x40000000
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # type into the user's terminal (asm-generic/ioctls.h)


def filter_program(machine: _Machine, pid: int) -> list[tuple[int, int, int, int]]:
    """The classic BPF program as (code, jump if true, jump if false, operand).

    Threads may be made, processes not; a pair of stream sockets may be made, nothing can be connected or sent elsewhere.
    clone3 hides its flags in memory and is answered with "no such call", upon which the C library takes clone.
    """
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, machine.audit), (_RETURN, 0, 0, _REFUSE),
        (_LOAD, 0, 0, _NUMBER), (_AT_LEAST, 0, 1, _X32), (_RETURN, 0, 0, _REFUSE),
        (_EQUAL, 0, 1, machine.clone3), (_RETURN, 0, 0, _NO_SUCH_CALL),
    ]  # fmt: skip
    for number in machine.refused:
        program += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _REFUSE)]
    program += [
        (_EQUAL, 0, 5, machine.ioctl), (_LOAD, 0, 0, _SECOND_ARGUMENT), (_EQUAL, 1, 0, _TIOCSTI), (_EQUAL, 0, 1, _TIOCLINUX),
        (_RETURN, 0, 0, _REFUSE), (_RETURN, 0, 0, _ALLOW),
    ]  # fmt: skip
    for number, argument, test, operand, then, otherwise in (
        # the other kinds could send to any local socket, connected or not
        (machine.socketpair, _SECOND_ARGUMENT, _ANY_BIT, _BEYOND_STREAM, _REFUSE, _ALLOW),
        (machine.clone, _FIRST_ARGUMENT, _ANY_BIT, _CLONE_THREAD, _ALLOW, _REFUSE),
        *((number, _FIRST_ARGUMENT, _EQUAL, pid, _ALLOW, _REFUSE) for number in machine.own),
        *((number, _FIRST_ARGUMENT, _EQUAL, 0, _ALLOW, _REFUSE) for number in machine.unnamed),
    ):
        program += [
            (_EQUAL, 0, 4, number), (_LOAD, 0, 0, argument), (test, 0, 1, operand),
            (_RETURN, 0, 0, then), (_RETURN, 0, 0, otherwise),
        ]  # fmt: skip
    return [*program, (_RETURN, 0, 0, _ALLOW)]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def _seccomp() -> bool:
    machine = _MACHINES.get(platform.machine())
    if machine is None:
        return False
    steps = filter_program(machine, os.getpid())
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    program = _Program(len(steps), code)
    return bool(_libc().prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0) == 0)


# Python

_FORBIDDEN = frozenset(
    [
        "socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname",
        "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.startfile", "os.fork", "os.forkpty",
        "pty.spawn", "os.kill", "os.killpg", "ftplib.connect", "smtplib.connect", "http.client.connect", "urllib.Request",
        "sqlite3.connect", "webbrowser.open",
    ]
)  # fmt: skip
_CHANGING = frozenset(
    [
        "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.chmod", "os.chown", "os.link", "os.symlink", "os.truncate",
        "os.utime", "os.setxattr", "os.removexattr", "shutil.rmtree", "shutil.move", "shutil.copyfile", "tempfile.mkstemp",
        "tempfile.mkdtemp",
    ]
)  # fmt: skip
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _audit(writable: Path) -> Callable[[str, tuple[Any, ...]], None]:
    """Refuses in Python what the kernel's walls refuse below, with words, and on systems that lack those walls."""
    folder = os.path.realpath(writable)

    def is_inside(path: Any) -> bool:
        if isinstance(path, int) or path is None or path in ("/dev/null", b"/dev/null"):
            return True
        real = os.path.realpath(os.fsdecode(path))
        return real == folder or real.startswith(folder + os.sep)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event in _FORBIDDEN:
            raise PermissionError(f"a model may not do this while it is inspected: {event}")
        changes = event in _CHANGING or (event == "open" and isinstance(args[2], int) and args[2] & _WRITE_FLAGS)
        if changes and not is_inside(args[0]):
            raise PermissionError(f"a model may not write while it is inspected: {event} {args[0]!r}")

    return hook
