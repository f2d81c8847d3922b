"""The door to one Docker engine: its calls, its answers as values, its failures as errors that say what to do.

Every call that can be repeated is repeated when its connection is cut: nobody knows then whether the engine did it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import urlsplit

from mlship.runner import LocalRunner, Runner
from mlship.targets.docker.connecting import dialled
from mlship.targets.docker.failures import EngineRefused as EngineRefused
from mlship.targets.docker.failures import NotThere as NotThere
from mlship.targets.docker.failures import Unreachable as Unreachable
from mlship.targets.docker.failures import translated
from mlship.targets.docker.seen import Container as Container
from mlship.targets.docker.seen import EngineFacts as EngineFacts
from mlship.targets.docker.seen import EngineImage as EngineImage
from mlship.targets.docker.seen import Network as Network
from mlship.targets.docker.seen import Usage as Usage
from mlship.targets.docker.seen import container_seen, facts_seen, image_seen, log_line, network_seen, stopped_seen, usage_seen
from mlship.targets.docker.seen import seconds as seconds
from mlship.targets.docker.stream import Conversation

Answered = TypeVar("Answered")
Seen = TypeVar("Seen")
Sleep = Callable[[float], None]

CALL_TIMEOUT_S = 60
# Between tries after a cut connection: together longer than a proxy or an engine takes to start again.
PAUSES_S = (0.05, 0.2, 0.5, 1.0, 2.0)
# An engine may give a port back a little after the container that had it ended.
PORT_PAUSES_S = (0.2, 0.5, 1.0, 2.0)
TAKEN_PORT = "port is already allocated"
AT_ONCE = 8  # questions side by side; each may be an ssh login of its own, of which sshd takes ten at once (MaxStartups)


def connect(environ: Mapping[str, str], runner: Runner | None = None) -> Engine:
    """The engine that `docker` would talk to: DOCKER_HOST, else the context. Raises Unreachable, and with exit 8 where this

    user is not let in. runner: starts ssh.
    """

    def once() -> Engine:
        return Engine(*dialled(environ, runner or LocalRunner(), CALL_TIMEOUT_S))

    return repeated(once)


def repeated(call: Callable[[], Answered], sleep: Sleep = time.sleep) -> Answered:
    """The answer to a call that does no harm when the engine carries it out twice; asked again while connections are cut."""
    for pause_s in PAUSES_S:
        try:
            return call()
        except Unreachable as lost:
            if not lost.was_cut:
                raise
        sleep(pause_s)
    return call()


class Engine:
    """One engine. api: docker-py's client. address: as the user named it.

    Every method raises Unreachable, EngineRefused or NotThere. Safe for several threads.
    """

    def __init__(self, api: Any, address: str, sleep: Sleep = time.sleep) -> None:
        self._api = api
        self.address = address
        self._sleep = sleep

    @property
    def is_local(self) -> bool:
        """Whether its published ports are this machine's."""
        return self.address.startswith(("unix://", "npipe://"))

    @property
    def host(self) -> str:
        """The name under which its machine's ports are reached from here."""
        return "127.0.0.1" if self.is_local else urlsplit(self.address).hostname or ""

    def facts(self) -> EngineFacts:
        return self._told(lambda: facts_seen(self._api.info(), self._api.containers()))

    def containers(self, labels: Iterable[str], *, brief: bool = False) -> list[Container]:
        """Every container, stopped ones too, that carries the labels (`name` or `name=value`).

        brief: those that ended well, and are only kept, are not asked after one by one: what `stopped_seen` tells is enough.
        """
        filters = {"label": list(labels)}
        listed = self._told(lambda: self._api.containers(all=True, filters=filters))
        waiting = [found for entry in listed if brief and (found := stopped_seen(entry)) is not None]
        known = {entry.id for entry in waiting}
        return [*waiting, *_each(self.container, [entry["Id"] for entry in listed if entry["Id"] not in known])]

    def container(self, name: str) -> Container | None:
        return _if_there(lambda: self._told(lambda: container_seen(self._api.inspect_container(name))))

    def users_of(self, image: str) -> list[str]:
        """Names of the containers, running or not, that were made from the image."""
        listed = self._told(lambda: self._api.containers(all=True, filters={"ancestor": image}))
        return [entry["Names"][0].lstrip("/") for entry in listed if entry.get("Names")]

    def create(self, name: str, body: Mapping[str, Any]) -> str:
        """A container of that name that carries all the body's labels counts as made: by this call before it was cut, or by

        the same call of somebody else. Any other one in its place is refused by the engine, status 409.
        """
        try:
            return self._told(lambda: str(self._api.create_container_from_config(dict(body), name)["Id"]))
        except EngineRefused as refused:
            present = self.container(name) if refused.status == 409 else None
            if present is None or not _carries(present.labels, body.get("Labels") or {}):
                raise
            return present.id

    def start(self, container: str) -> None:
        """One that runs already is no error. A port that is taken is waited for a moment."""
        for pause_s in PORT_PAUSES_S:
            try:
                self._told(lambda: self._api.start(container))
                return
            except EngineRefused as refused:
                if TAKEN_PORT not in refused.what:
                    raise
            self._sleep(pause_s)
        self._told(lambda: self._api.start(container))

    def stop(self, container: str, timeout_s: int | None = None) -> None:
        """Asks it to end and waits; kills it after its own stop timeout, or after timeout_s. One that ended is no error."""
        if timeout_s is None:
            present = self.container(container)
            timeout_s = present.stop_timeout_s if present else 0
        self._told(lambda: self._api.stop(container, timeout=timeout_s))

    def remove(self, container: str) -> None:
        """Whatever state it is in; one that is gone, or going, is no error."""
        try:
            self._told(lambda: self._api.remove_container(container, force=True, v=True))
        except NotThere:
            return
        except EngineRefused as refused:
            if refused.status != 409:  # its removal is in progress
                raise

    def rename(self, container: str, name: str) -> None:
        """One that has the name already is no error."""

        def is_named() -> bool:
            present = self.container(container)
            return present is not None and present.name == name

        self._unless_done(lambda: self._api.rename(container, name), is_named)

    def usage(self, container: str) -> Usage | None:
        """What it takes now; None where it does not run."""
        stats = _if_there(lambda: self._told(lambda: self._api.stats(container, stream=False, one_shot=True)))
        return usage_seen(stats) if stats and (stats.get("pids_stats") or {}).get("current") else None

    def logs(self, container: str, lines: int, follow: bool = False) -> Iterator[tuple[str, str]]:
        """(time, text) of each line; goes on after the last one when the connection is cut, or when it runs again."""
        last, tries = "", 0
        while True:
            known = last
            try:
                for when, text in self._log(container, lines, follow, known):
                    if when > known:
                        yield when, text
                        last, tries = max(last, when), 0
                if not follow:
                    return
                # A stream that was cut looks like one that ended: what is left is asked for, followed while there is more.
                follow = self._runs(container)
            except Unreachable as lost:
                if not lost.was_cut or tries == len(PAUSES_S):
                    raise
                tries += 1
            self._sleep(PAUSES_S[max(tries - 1, 0)])

    def execute(
        self, container: str, argv: Sequence[str], environ: Mapping[str, str], timeout_s: float, user: str = ""
    ) -> Conversation:
        """Starts a program in a running container. environ: added to the container's. user: empty for the container's own.

        Where the connection is cut it is started again: a program that is talked with ends when nobody listens.
        """
        channels = {"stdin": True, "stdout": True, "stderr": True}

        def begin() -> Conversation:
            made = self._api.exec_create(container, list(argv), **channels, environment=dict(environ), user=user)
            return Conversation(self._api.exec_start(made["Id"], socket=True), timeout_s)

        return self._told(begin)

    def converse(self, container: str, timeout_s: float) -> Conversation:
        """Attaches to a container that was created and not started yet, and starts it."""
        channels = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        conversation = self._told(lambda: Conversation(self._api.attach_socket(container, channels), timeout_s))
        try:
            self.start(container)
        except BaseException:
            conversation.close()
            raise
        return conversation

    def images(self, labels: Iterable[str]) -> list[EngineImage]:
        """Images that carry the labels, the newest first."""
        filters = {"label": list(labels)}
        listed = self._told(lambda: self._api.images(filters=filters))
        return sorted(_each(self.image, [entry["Id"] for entry in listed]), key=lambda image: image.created, reverse=True)

    def labels_of_images(self, label: str) -> list[Mapping[str, str]]:
        """The labels of every image that carries the label: one question, however many there are."""
        listed = self._told(lambda: self._api.images(filters={"label": [label]}))
        return [dict(entry.get("Labels") or {}) for entry in listed]

    def image(self, reference: str) -> EngineImage | None:
        return _if_there(lambda: self._told(lambda: image_seen(self._api.inspect_image(reference))))

    def load(self, archive: Callable[[], Iterator[bytes]]) -> None:
        """archive: gives the bytes as `docker save` writes them, again where the connection is cut."""

        def once() -> None:
            for line in self._api.load_image(archive()):
                if "error" in line:
                    raise EngineRefused(f"the engine did not take the image: {line['error']}", 500)

        self._told(once)

    def tag(self, image: str, reference: str) -> None:
        repository, _, tag = reference.rpartition(":")
        self._told(lambda: self._api.tag(image, repository, tag))

    def remove_image(self, reference: str) -> bool:
        """False when something still uses it; one that is gone is no error."""
        try:
            self._told(lambda: self._api.remove_image(reference, noprune=False))
        except NotThere:
            return True
        except EngineRefused as refused:
            if refused.status != 409:
                raise
            return False
        return True

    def volume_labels(self, name: str) -> Mapping[str, str] | None:
        """None where there is no such volume."""
        return _if_there(lambda: self._told(lambda: dict(self._api.inspect_volume(name).get("Labels") or {})))

    def volumes(self, label: str) -> list[Mapping[str, str]]:
        """The labels of every volume that carries the label."""
        listed = self._told(lambda: self._api.volumes(filters={"label": [label]})["Volumes"] or [])
        return [dict(volume.get("Labels") or {}) for volume in listed]

    def create_volume(self, body: Mapping[str, Any]) -> None:
        """One that is there is taken as it is: the engine makes no second one of a name."""
        self._told(lambda: self._api.create_volume(body["Name"], labels=dict(body["Labels"])))

    def remove_volume(self, name: str) -> None:
        _if_there(lambda: self._told(lambda: self._api.remove_volume(name, force=True)))

    def network(self, name: str) -> Network | None:
        return _if_there(lambda: self._told(lambda: network_seen(self._api.inspect_network(name))))

    def create_network(self, body: Mapping[str, Any]) -> None:
        """body: of POST /networks/create. A network of that name is refused, never made twice; one with all the body's labels

        counts as made.
        """

        def once() -> None:
            self._api.create_network(
                body["Name"],
                driver=body["Driver"],
                internal=body["Internal"],
                labels=dict(body["Labels"]),
                ipam=body.get("IPAM"),
                options=body.get("Options"),
                check_duplicate=True,
            )

        self._unless_done(once, lambda: self._has_network(body))

    def remove_network(self, name: str) -> None:
        _if_there(lambda: self._told(lambda: self._api.remove_network(name)))

    def connect(self, network: str, container: str, address: str) -> None:
        """Adds the container to the network under a fixed address; one that has it is no error."""

        def is_there() -> bool:
            present = self.container(container)
            return present is not None and present.addresses.get(network) == address

        self._unless_done(lambda: self._api.connect_container_to_network(container, network, ipv4_address=address), is_there)

    def _told(self, call: Callable[[], Answered]) -> Answered:
        def once() -> Answered:
            with translated(self.address):
                return call()

        return repeated(once, self._sleep)

    def _unless_done(self, call: Callable[[], object], is_done: Callable[[], bool]) -> None:
        """For calls that an engine refuses the second time: where what was wanted is so, they succeeded."""
        try:
            self._told(call)
        except EngineRefused:
            if not is_done():
                raise

    def _log(self, container: str, lines: int, follow: bool, last: str) -> Iterator[tuple[str, str]]:
        """last: the time of the line to go on after; then all since its second, else the last `lines`."""
        wanted: dict[str, Any] = {"since": int(seconds(last))} if last else {"tail": lines}
        pending = b""
        with translated(self.address):
            chunks = self._api.logs(container, stdout=True, stderr=True, stream=True, follow=follow, timestamps=True, **wanted)
            for chunk in chunks:
                *whole, pending = (pending + chunk).split(b"\n")
                yield from map(log_line, whole)
        if pending:
            yield log_line(pending)

    def _runs(self, container: str) -> bool:
        present = self.container(container)
        return present is not None and present.state in ("running", "paused", "restarting")

    def _has_network(self, body: Mapping[str, Any]) -> bool:
        present = self.network(body["Name"])
        return present is not None and _carries(present.labels, body["Labels"])


def _each(ask: Callable[[str], Seen | None], names: Sequence[str]) -> list[Seen]:
    """What each of them is; those that went meanwhile are left out."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [seen for seen in pool.map(ask, names) if seen is not None]


def _if_there(ask: Callable[[], Seen]) -> Seen | None:
    try:
        return ask()
    except NotThere:
        return None


def _carries(labels: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(labels.get(name) == text for name, text in wanted.items())


Connect = Callable[[], Engine]
"""How a target reaches its engine, on first need."""


def as_document(value: Any) -> bytes:
    """JSON as it is shown to people and sent to the engine."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n"
