"""The supervisor of one local service: owns its listening sockets, runs its servers, hands over from one to the next.

The CLI starts it as a script (`python -I holder.py FOLDER`) in a session of its own and goes away. Standard library only,
all of it loaded at the start, so that it goes on when the installation around it changes. One a service: it holds a lock on
`holder.lock` for its life.

Sockets are handed down by inheritance, in systemd's way: a server finds the public socket as descriptor 3 and its own probe
socket as 4. The public socket is never closed between releases, so no connection is refused or reset by a handover. A server
started with MLSHIP_HOLD=1 answers only its probe until it gets SIGUSR1; on SIGTERM it finishes what it accepted.

A holder that is killed does not take its servers along (no PR_SET_PDEATHSIG): a service must not go down because its
supervisor did. They are no unknown orphans either: each carries a mark in its environment, inherited by its workers, by
which the next holder finds them, takes the public socket over from them (pidfd_getfd), starts its own server on it and only
then ends them.

It is told what to do through the Unix socket `control.sock` (mode 0600, same user only): one JSON line in, one out.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # started with -I: the package is not on the path unless it is installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from mlship.targets.local.listening import Refused, ask, is_accepting, listen, listen_from, take_over
from mlship.targets.local.processes import (
    SERVER_MARK,
    alive,
    cores_for,
    leaders,
    marked,
    oom_kills,
    send,
    spawn,
    start_ticks,
)
from mlship.targets.local.protocol import (
    LOCK,
    SOCKET,
    STATE,
    HolderView,
    Launch,
    Question,
    Reply,
    ServerView,
    State,
    lease_token,
    read_state,
)
from mlship.targets.local.traces import rotate, write_state

IDLE_S = 10.0  # a holder with nothing to hold goes away
STEADY_S = 60.0  # a server that ran so long starts again without a pause
LONGEST_PAUSE_S = 30.0
STRANGERS_DRAIN_S = 15.0
SETTLE_S = 5.0  # how long somebody who only looks waits for a change to be over
ALREADY_HELD = 75  # exit code; EX_TEMPFAIL


@dataclass(eq=False)
class Listener:
    """A public listening socket. port: the real one."""

    host: str
    port: int
    socket: socket.socket


@dataclass(eq=False)
class Server:
    """One copy of a release. pid 0: not running now. quick_ends: ends by itself in a row without a steady time between."""

    launch: Launch
    listener: Listener
    probe: socket.socket
    state: State
    pid: int = 0
    ticks: int = 0
    since: float = 0.0
    restarts: int = 0
    quick_ends: int = 0
    code: int | None = None
    out_of_memory: bool = False
    oom_before: int = 0
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def probe_port(self) -> int:
        return int(self.probe.getsockname()[1])

    def view(self) -> ServerView:
        return ServerView(
            release=self.launch.release,
            state=self.state,
            pid=self.pid,
            ticks=self.ticks,
            since=self.since,
            probe=self.probe_port,
            host=self.listener.host,
            port=self.listener.port,
            restarts=self.restarts,
            code=self.code,
            out_of_memory=self.out_of_memory,
        )


class Holder:
    """Everything that the process knows. All changes happen in its one event loop, one question at a time."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.servers: list[Server] = []
        self.listeners: list[Listener] = []
        self.strangers: list[int] = []
        self.live: Server | None = None
        self.kept_port = 0
        self.trouble = ""
        self.ticks = start_ticks(os.getpid())
        self.last_word = time.monotonic()
        self.change = asyncio.Lock()
        self.leaving = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGCHLD, self._reap)
        loop.add_signal_handler(signal.SIGTERM, self.leaving.set)
        async with self.change:
            control = await _control_server(self._converse)
            await self._resume()
            self._save()
        self._background(self._keep_house())
        await self.leaving.wait()
        control.close()
        async with self.change:
            await asyncio.gather(*(self._drain(server) for server in list(self.servers)))
            await _end(self.strangers)
        for task in self.tasks:
            task.cancel()
        Path(SOCKET).unlink(missing_ok=True)

    def view(self) -> HolderView:
        return HolderView(
            pid=os.getpid(),
            ticks=self.ticks,
            live=self.live.launch.release if self.live else "",
            kept_port=self.kept_port,
            servers=tuple(server.view() for server in self.servers),
            strangers=tuple(self.strangers),
            trouble=self.trouble,
            launch=self.live.launch if self.live else None,
        )

    # What the CLI can ask for.

    async def answer(self, asked: Question) -> None:
        """Raises Refused."""
        if asked.do == "status":
            return
        if asked.do == "settle":
            with suppress(TimeoutError):
                async with asyncio.timeout(SETTLE_S):
                    await self._settle()
            return
        if asked.do == "quit":
            _refuse_overtaken(asked)
            self.leaving.set()
            return
        async with self.change:
            _refuse_overtaken(asked)
            if asked.do == "start" and asked.launch is not None:
                await self._start(asked.launch)
            elif asked.do == "shift":
                await self._shift(asked.release, asked.timeout_s)
            elif asked.do == "stop":
                await self._stop(asked.release)
            elif asked.do == "unstage":
                await self._unstage(asked.release)
            else:
                raise Refused("unknown", f"the supervisor does not know {asked.do!r}; it is of another version of mlship")

    async def _settle(self) -> None:
        async with self.change:
            return

    async def _start(self, launch: Launch) -> None:
        """A copy on hold; one that runs already in just this way is left alone."""
        listener = self._listener(launch.host, launch.port)
        launch = replace(launch, port=listener.port)
        present = self._copy_of(launch.release)
        if present is not None and present.pid and present.launch == launch:
            return
        if present is not None and present is not self.live:
            await self._drain(present, keep=listener)
        server = Server(launch, listener, listen("127.0.0.1", 0), "staged")
        self.servers.append(server)
        self._spawn(server, hold=True)

    async def _shift(self, release: str, timeout_s: float) -> None:
        """Callers reach the release; whoever accepted before drains. Repeatable at every point."""
        server = self._copy_of(release)
        if server is None or not server.pid:
            raise Refused("not-running", f"no copy of {release} is running")
        if server is not self.live:
            await self._let_accept(server, timeout_s)
            server.state, self.trouble = "live", ""
            try:
                self._set_live(server)
            except Refused:
                await self._drain(server)
                raise
        others = [other for other in self.servers if other.state == "live" and other is not server]
        going = [self._background(self._drain(other)) for other in others]
        going.append(self._background(self._end_strangers()))
        # Usually they are gone at once; a slow request is finished in the background.
        await asyncio.wait(going, timeout=1.0)

    async def _let_accept(self, server: Server, timeout_s: float) -> None:
        release = server.launch.release
        if (await ask(server.probe_port, "/readyz"))[0] != 200:
            raise Refused("not-ready", f"the copy of {release} is not ready")
        os.kill(server.pid, signal.SIGUSR1)
        await self._until_accepting(server, timeout_s)

    async def _stop(self, release: str) -> None:
        """All copies of the release go, wherever they stand."""
        going = [server for server in self.servers if server.launch.release == release]
        if self.live in going:
            self._set_live(None)
        await asyncio.gather(*(self._drain(server) for server in going))
        self._save()

    async def _unstage(self, release: str) -> None:
        """Only copies that callers do not reach go."""
        staged = [one for one in self.servers if one.launch.release == release and one.state in ("staged", "ended")]
        await asyncio.gather(*(self._drain(server) for server in staged))

    def _set_live(self, server: Server | None) -> None:
        """Who is live is written down before anything relies on it. Raises Refused when the disk does not take it."""
        before, port = self.live, self.kept_port
        self.live, self.kept_port = server, server.listener.port if server else port
        try:
            write_state(self.view(), durable=True)
        except OSError as error:
            self.live, self.kept_port = before, port
            raise Refused("cannot-write", f"{Path(self.folder, STATE)} cannot be written: {error.strerror}") from None

    # Servers.

    def _copy_of(self, release: str) -> Server | None:
        """The newest copy that is not on its way out."""
        copies = [one for one in self.servers if one.launch.release == release and one.state != "draining"]
        return copies[-1] if copies else None

    def _spawn(self, server: Server, *, hold: bool) -> None:
        launch = server.launch
        server.oom_before = oom_kills()
        server.ended.clear()
        try:
            server.pid = spawn(
                launch.argv,
                _server_environ(launch, self.folder, hold=hold),
                cwd=launch.cwd,
                log=launch.log,
                sockets=(server.listener.socket.fileno(), server.probe.fileno()),
                cores=cores_for(self.folder, launch.cores, len(self.servers)),
                data_limit=launch.data_limit,
            )
        except OSError as error:
            raise Refused("cannot-start", f"{launch.release} could not be started: {error}") from None
        server.ticks, server.since = start_ticks(server.pid), time.time()
        self._save()

    def _reap(self) -> None:
        for server in list(self.servers):
            if server.pid and os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None:
                # Workers that outlived their parent go while the zombie still keeps the group's number from reuse.
                with suppress(ProcessLookupError):
                    os.killpg(server.pid, signal.SIGKILL)
                _, status = os.waitpid(server.pid, 0)
                self._has_ended(server, os.waitstatus_to_exitcode(status))

    def _has_ended(self, server: Server, code: int) -> None:
        server.pid, server.ticks, server.code = 0, 0, code
        server.out_of_memory = code != 0 and server.state != "draining" and oom_kills() > server.oom_before
        server.ended.set()
        if server is self.live:
            server.quick_ends = 0 if time.time() - server.since > STEADY_S else server.quick_ends + 1
            self._background(self._revive(server))
        elif server.state == "staged":
            server.state = "ended"
        self._save()

    async def _revive(self, server: Server) -> None:
        """The live server ended by itself: again, at once the first time, then with growing pauses."""
        await asyncio.sleep(0.0 if server.quick_ends < 2 else min(0.1 * 2**server.quick_ends, LONGEST_PAUSE_S))
        if server is self.live and not server.pid and not self.leaving.is_set():
            server.restarts += 1
            self._spawn_live(server)

    def _spawn_live(self, server: Server) -> None:
        try:
            self._spawn(server, hold=False)
        except Refused as refused:
            self.trouble = str(refused)
            server.quick_ends += 1
            self._background(self._revive(server))

    async def _drain(self, server: Server, keep: Listener | None = None) -> None:
        """Ends one copy: politely, then for good. keep: a listener that is about to be used."""
        server.state = "draining"
        self._save()
        if server.pid:
            with suppress(ProcessLookupError):
                os.kill(server.pid, signal.SIGTERM)
            try:
                await asyncio.wait_for(server.ended.wait(), server.launch.drain_s)
            except TimeoutError:
                with suppress(ProcessLookupError):
                    os.killpg(server.pid, signal.SIGKILL)
                await server.ended.wait()
        if server in self.servers:
            self.servers.remove(server)
            server.probe.close()
        self._close_unused(keep)
        self._save()

    async def _until_accepting(self, server: Server, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not await is_accepting(server.probe_port):
            if not server.pid:
                raise Refused("ended", f"the copy of {server.launch.release} ended (exit {server.code}) before it accepted")
            if time.monotonic() > deadline:
                raise Refused("timeout", f"{server.launch.release} did not begin to accept within {timeout_s:g} s")
            await asyncio.sleep(0.01)

    # Listening sockets.

    def _listener(self, host: str, port: int) -> Listener:
        for listener in self.listeners:
            if listener.host == host and port in (0, listener.port):
                return listener
        found = listen_from(host, port or self.kept_port)
        listener = Listener(host, int(found.getsockname()[1]), found)
        self.listeners.append(listener)
        return listener

    def _close_unused(self, keep: Listener | None) -> None:
        used = [server.listener for server in self.servers]
        for listener in [one for one in self.listeners if one not in used and one is not keep]:
            self.listeners.remove(listener)
            listener.socket.close()

    # After a holder that was killed, or a reboot.

    async def _resume(self) -> None:
        """What was live runs again; what an earlier holder left behind is found and, once replaced, ended."""
        before = read_state(Path())
        self.strangers = marked(self.folder)
        self.kept_port = before.kept_port if before else 0
        launch = before.launch if before else None
        found = take_over(self.strangers, launch.host, launch.port) if launch else None
        if found is None:
            await self._end_strangers()
        if launch is None:
            return
        try:
            found = found or listen(launch.host, launch.port)
        except Refused as refused:
            self.trouble = f"{launch.release} cannot be brought back: {refused}"
            return
        listener = Listener(launch.host, launch.port, found)
        self.live = Server(launch, listener, listen("127.0.0.1", 0), "live")
        self.listeners.append(listener)
        self.servers.append(self.live)
        self._spawn_live(self.live)
        if self.strangers:
            self._background(self._succeed_strangers(self.live))

    async def _succeed_strangers(self, server: Server) -> None:
        """They serve until our own server does; should that fail, they go on."""
        try:
            await self._until_accepting(server, server.launch.startup_s)
        except Refused as refused:
            self.trouble = f"servers of an earlier supervisor still serve: {refused}"
            return
        await self._end_strangers()

    async def _end_strangers(self) -> None:
        await _end(self.strangers)
        self.strangers = []
        self._save()

    # The rest of the house.

    def _save(self) -> None:
        """For whoever comes after this holder; on a full disk the service goes on, and says so."""
        try:
            write_state(self.view(), durable=False)
        except OSError as error:
            self.trouble = f"{Path(self.folder, STATE)} cannot be written: {error.strerror}"

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(2.0)
            for server in self.servers:
                rotate(Path(server.launch.log))
            if not self.servers and not self.strangers and time.monotonic() - self.last_word > IDLE_S:
                self.leaving.set()

    def _background(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One question, one answer. A change goes on to its end even when whoever asked is gone."""
        try:
            if _peer(writer) in (os.getuid(), 0):
                self.last_word = time.monotonic()
                writer.write((await self._reply(reader)).to_line())
                await writer.drain()
        except OSError:
            return  # whoever asked is gone
        finally:
            writer.close()

    async def _reply(self, reader: asyncio.StreamReader) -> Reply:
        try:
            await self.answer(Question.from_line(await asyncio.wait_for(reader.readline(), 10.0)))
        except Refused as refused:
            return Reply(False, self.view(), refused.code, str(refused))
        except (ValueError, KeyError, TypeError, OSError) as error:
            return Reply(False, self.view(), "failed", f"{type(error).__name__}: {error}")
        return Reply(True, self.view())


def _refuse_overtaken(asked: Question) -> None:
    """A command that was stopped for longer than its lease must not change what another one made meanwhile."""
    if asked.token and lease_token(Path()) != asked.token:
        raise Refused("lease-lost", "somebody else took over this project meanwhile")


async def _end(pids: list[int]) -> None:
    """Ends processes that are not our children: politely by their leaders, then all for good."""
    known = {pid: start_ticks(pid) for pid in pids}
    for whom, number, patience_s in (
        (leaders(known), signal.SIGTERM, STRANGERS_DRAIN_S),
        (known, signal.SIGKILL, 5.0),
    ):
        send(whom, number)
        deadline = time.monotonic() + patience_s
        while alive(known) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)


def _server_environ(launch: Launch, folder: str, *, hold: bool) -> dict[str, str]:
    environ = {**launch.environ, SERVER_MARK: folder, "LISTEN_FDS": "2", "LISTEN_FDNAMES": "public:probe"}
    return {**environ, "MLSHIP_HOLD": "1"} if hold else environ


async def _control_server(
    converse: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
) -> asyncio.Server:
    """Bound by its bare name in the current folder: a whole path may be longer than the 108 bytes that the kernel takes."""
    Path(SOCKET).unlink(missing_ok=True)
    return await asyncio.start_unix_server(converse, SOCKET, limit=4 * 2**20)


def _peer(writer: asyncio.StreamWriter) -> int:
    """User id of whoever is at the other end."""
    raw = writer.get_extra_info("socket").getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return int(struct.unpack("3i", raw)[1])


def main(folder: str) -> int:
    os.chdir(folder)
    os.umask(0o177)  # every file that is made here, the control socket too, is the user's alone
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Path(LOCK).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return ALREADY_HELD
        asyncio.run(Holder(folder).run())
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
