"""An engine on another machine, through the system's own ssh client and `docker system dial-stdio` over there.

Keys, agents, jump hosts and names are what ~/.ssh/config says, or the file that MLSHIP_SSH_CONFIG names instead of it: a job may
keep its key apart from the account that it runs under. Each connection is one ssh process on a pair of sockets, kept
open and used again like any other, so that deadlines and streams work as with a local engine. The client library's own ssh
support starts a process for each call, knows no deadlines and shows no reason.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from mlship.errors import Exit, MlshipError
from mlship.runner import Command, Result, Runner
from mlship.targets.docker.failures import Unreachable

CONFIG = "MLSHIP_SSH_CONFIG"
CONNECT_S = 10
# A password cannot be asked for on a connection that carries messages; a dead link ends after 45 s instead of hours.
OPTIONS = ("-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT_S}", "-o", "ServerAliveInterval=15", "-T")
SSH_FAILED, NO_SUCH_PROGRAM = 255, 127  # ssh(1), EXIT STATUS; POSIX shell, 2.8.2
PLACEHOLDER = "unix:///over/ssh"  # docker-py wants an address of its own forms; it is never opened


@dataclass(frozen=True)
class Login:
    """`ssh://deploy@host:2222` taken apart. host may be a name of ssh's configuration; user and port are empty where not said.

    config: a file of ssh's configuration that counts alone; empty for the user's and the system's.
    """

    host: str
    user: str = ""
    port: str = ""
    config: str = ""

    @property
    def argv(self) -> tuple[str, ...]:
        user = ("-l", self.user) if self.user else ()
        port = ("-p", self.port) if self.port else ()
        config = ("-F", self.config) if self.config else ()
        return ("ssh", *config, *OPTIONS, *user, *port, "--", self.host)

    @property
    def text(self) -> str:
        """As a person types it."""
        return " ".join(
            ("ssh", *(("-p", self.port) if self.port else ()), f"{self.user}@{self.host}" if self.user else self.host)
        )


def login(address: str, environ: Mapping[str, str]) -> Login:
    """Raises MlshipError for what is no address of this form."""
    parts = urlsplit(address)
    try:
        port = str(parts.port or "")
    except ValueError:
        port = "?"
    host, user = parts.hostname or "", parts.username or ""
    is_sound = re.fullmatch(r"[\w.:%-]+", host) and not host.startswith("-") and re.fullmatch(r"[\w.@-]*", user) and port != "?"
    if not is_sound or parts.password or parts.path.strip("/") or parts.query or parts.fragment:
        raise MlshipError(
            f"{address.replace(f':{parts.password}@', '@')} is no address of an engine",
            where="DOCKER_HOST, or targets.docker.hosts",
            fix="ssh://user@host or ssh://user@host:port; keys belong into ~/.ssh/config or an agent",
            code="engine-address",
        )
    return Login(host, user, port, environ.get(CONFIG, ""))


def transport(address: str, runner: Runner, environ: Mapping[str, str], timeout_s: int) -> Any:
    """For docker-py's client of a Unix socket: connections that are ssh processes. Raises what `login` raises."""
    known = login(address, environ)
    return _adapter(lambda: _dialled(known, runner, environ, timeout_s), timeout_s)


def diagnosis(address: str, runner: Runner, environ: Mapping[str, str]) -> MlshipError:
    """Why no engine answers there, asked step by step: the programs' exit codes tell, their words are only shown."""
    known = login(address, environ)

    def remote(*argv: str) -> Result:
        return runner.run(Command((*known.argv, *argv), environ=environ, timeout_s=3 * CONNECT_S))

    try:
        told = remote("docker", "version", "--format", "{{.Server.Version}}")
    except MlshipError as error:
        fix = "install the OpenSSH client: apt-get install openssh-client" if error.code == "missing-program" else known.text
        return Unreachable(address, error.what, fix=fix)
    said = tuple(told.last_lines(3))
    if told.code == SSH_FAILED:
        return _no_login(known, address, runner, environ, said)
    if told.code == NO_SUCH_PROGRAM:
        return Unreachable(address, f"there is no docker command on {known.host}", fix="install Docker there", details=said)
    if told.ok:
        return Unreachable(address, "the connection was cut", fix="run the same command again", was_cut=True)
    if remote("test", "-S", "/var/run/docker.sock", "-a", "!", "-w", "/var/run/docker.sock").ok:
        return MlshipError(
            f"this login may not use the engine at {address}",
            where=f"/var/run/docker.sock on {known.host}",
            fix=f"{known.text} 'sudo usermod -aG docker $USER'",
            exit=Exit.DENIED,
            code="engine-denied",
            details=said,
        )
    fix = f"{known.text} docker version shows the same; start the engine there: systemctl start docker"
    return Unreachable(address, f"docker on {known.host} reaches no engine", fix=fix, details=said)


def _no_login(known: Login, address: str, runner: Runner, environ: Mapping[str, str], said: tuple[str, ...]) -> MlshipError:
    """ssh has one exit code for everything: what it would do is asked of it and of ssh-keygen."""
    settings = _settings(known, runner, environ)
    host, port = settings.get("hostname", known.host), settings.get("port", "22")
    is_direct = settings.get("proxyjump", "none") == "none" and settings.get("proxycommand", "none") == "none"
    if is_direct and (why := _unanswered(host, int(port))):
        fix = f"check name, port and network: {known.text}"
        return Unreachable(address, f"{host}:{port} does not answer ({why})", fix=fix, details=said)
    if not _is_known(settings, host, port, runner, environ):
        return MlshipError(
            f"the host key of {host} is not known to this machine",
            where=settings.get("userknownhostsfile", "~/.ssh/known_hosts").split()[0],
            fix=f"{known.text}, compare the fingerprint that it shows, and answer yes",
            exit=Exit.DENIED,
            code="unknown-host-key",
            details=said,
        )
    return MlshipError(
        f"{host} does not let this login in, or shows another host key than it did",
        where=address,
        fix=f"{known.text} must work without asking anything: ssh-copy-id, ssh-add, or ~/.ssh/config",
        exit=Exit.DENIED,
        code="ssh-denied",
        details=said,
    )


def _settings(known: Login, runner: Runner, environ: Mapping[str, str]) -> dict[str, str]:
    """ssh's own configuration for the host, by name in lower case."""
    told = runner.run(Command(("ssh", "-G", *known.argv[1:]), environ=environ, timeout_s=CONNECT_S))
    return dict(line.split(" ", 1) for line in told.text.splitlines() if " " in line)


def _unanswered(host: str, port: int) -> str:
    try:
        socket.create_connection((host, port), timeout=CONNECT_S).close()
    except OSError as error:
        return error.strerror or str(error) or type(error).__name__
    return ""


def _is_known(settings: Mapping[str, str], host: str, port: str, runner: Runner, environ: Mapping[str, str]) -> bool:
    alias = settings.get("hostkeyalias", "")
    name = alias or (host if port == "22" else f"[{host}]:{port}")
    files = f"{settings.get('userknownhostsfile', '')} {settings.get('globalknownhostsfile', '')}".split()
    existing = [path for path in (Path(file).expanduser() for file in files) if path.is_file()]
    return any(
        runner.run(Command(("ssh-keygen", "-F", name, "-f", str(path)), environ=environ, timeout_s=CONNECT_S)).ok
        for path in existing
    )


def _dialled(known: Login, runner: Runner, environ: Mapping[str, str], timeout_s: int) -> socket.socket:
    """One end of a pair of sockets; the other one is ssh's input and output. ssh ends when this end is closed."""
    ours, theirs = socket.socketpair()
    with theirs:
        # its own session: an interrupt of this command must not end it before the lease is given back
        command = Command((*known.argv, "docker", "system", "dial-stdio"), environ=environ)
        runner.start(command, detached=True, channel=theirs.fileno())
    ours.settimeout(timeout_s)
    return ours


def _adapter(dial: Callable[[], socket.socket], timeout_s: int) -> Any:
    """docker-py's transport of a Unix socket, with connections that are dialled. Classes here: docker is imported late."""
    from docker.transport import UnixHTTPAdapter
    from docker.transport.unixconn import UnixHTTPConnection, UnixHTTPConnectionPool

    class Connection(UnixHTTPConnection):
        def connect(self) -> None:
            self.sock = dial()

    class Pool(UnixHTTPConnectionPool):
        def _new_conn(self) -> Any:
            return Connection(self.base_url, self.socket_path, timeout_s)

    class Adapter(UnixHTTPAdapter):
        def get_connection(self, url: str | bytes, proxies: Any = None) -> Any:
            with self.pools.lock:
                if self.pools.get(PLACEHOLDER) is None:
                    self.pools[PLACEHOLDER] = Pool(PLACEHOLDER, PLACEHOLDER, timeout_s)
                return self.pools[PLACEHOLDER]

    return Adapter(PLACEHOLDER, timeout_s)
