"""Processes of a local service: started, told apart, found again, ended. Standard library only; part of the holder."""

from __future__ import annotations

import fcntl
import os
import resource
import signal
import zlib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

SERVER_MARK = "MLSHIP_HOLDER"  # in the environment of each server and its workers: the service's folder
HOLDER_MARK = "MLSHIP_HOLDS"  # the same for the holder itself


def start_ticks(pid: int) -> int:
    """When the process started, in clock ticks since boot; 0 when there is none or only its zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] in (b"Z", b"X") else int(fields[19])


def marked(folder: str, marks: Iterable[str] = (SERVER_MARK,)) -> list[int]:
    """Processes of this service, whoever started them: this user's own that carry one of the marks in their environment.

    Root can read every environment: a mark in another user's would make it take over that user's socket.
    """
    wanted = {f"{mark}={folder}".encode() for mark in marks}
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                if wanted & set((entry / "environ").read_bytes().split(b"\0")) and _user(entry) == os.getuid():
                    found.append(int(entry.name))
    return [pid for pid in sorted(found) if start_ticks(pid)]


def _user(process: Path) -> int:
    """Whose it is; the owner of the folder in /proc is root's for whoever hides from tracing."""
    status = (process / "status").read_bytes()
    return int(status.partition(b"\nUid:")[2].split(maxsplit=1)[0])


def spawn(
    argv: tuple[str, ...],
    environ: Mapping[str, str],
    *,
    cwd: str,
    log: str,
    sockets: tuple[int, int],
    cores: set[int],
    data_limit: int,
) -> int:
    """Starts a server in its own session; its sockets become descriptors 3 and 4. Returns its pid.

    sockets: descriptors above 4. data_limit: bytes, 0 for none. The caller must have one thread, or forking is not safe.
    """
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        os.umask(0o022)
        output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        sources = (os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), output, output, *sockets)
        for number, source in enumerate(_out_of_the_way(sources)):
            os.dup2(source, number)
        for ignored in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and exec would hand that on
            signal.signal(ignored, signal.SIG_DFL)
        os.sched_setaffinity(0, cores)
        if data_limit:
            resource.setrlimit(resource.RLIMIT_DATA, (data_limit, data_limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.chdir(cwd)
        os.execve(argv[0], argv, {**environ, "LISTEN_PID": str(os.getpid())})  # noqa: S606 there is no shell
    except BaseException as error:
        os.write(2, f"mlship: {argv[0]} could not be started: {error}\n".encode())
    finally:
        os._exit(127)


def _out_of_the_way(sources: tuple[int, ...]) -> list[int]:
    """Copies on descriptors that dup2 to the low numbers does not overwrite."""
    return [fcntl.fcntl(source, fcntl.F_DUPFD_CLOEXEC, 10) for source in sources]


def cores_for(folder: str, count: int, turn: int) -> set[int]:
    """Which cores a server may use: spread over services, and not those of the copy that it takes over from."""
    allowed = sorted(os.sched_getaffinity(0))
    if not 0 < count < len(allowed):
        return set(allowed)
    first = zlib.crc32(folder.encode()) + turn * count
    return {allowed[(first + index) % len(allowed)] for index in range(count)}


def alive(known: Mapping[int, int]) -> list[int]:
    """Those of the processes (pid -> start ticks) that still run; a pid that was given to another process does not count."""
    return [pid for pid, ticks in known.items() if ticks and start_ticks(pid) == ticks]


def leaders(known: Mapping[int, int]) -> dict[int, int]:
    """Those that lead their session: a server that is told to stop tells its workers, and must not be told twice."""
    found = {}
    for pid, ticks in known.items():
        with suppress(ProcessLookupError):
            if os.getsid(pid) == pid:
                found[pid] = ticks
    return found


def send(known: Mapping[int, int], number: signal.Signals) -> None:
    """Sends the signal to those that still run."""
    for pid in alive(known):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def oom_kills() -> int:
    """How many processes the kernel has killed for want of memory since boot."""
    for line in Path("/proc/vmstat").read_text().splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return 0
