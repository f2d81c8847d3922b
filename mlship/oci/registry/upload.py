"""One blob into a registry: mounted, sent in one request, or in chunks; after a cut from where the registry stands."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from mlship.errors import Exit, MlshipError
from mlship.oci.image import Descriptor
from mlship.oci.registry.client import Registry
from mlship.oci.registry.connection import Answer, Call, Cut
from mlship.oci.registry.half_done import HalfDone
from mlship.oci.registry.refusals import codes
from mlship.oci.registry.retrying import TRIES, is_passing
from mlship.oci.registry.speed import BlobProgress

WHOLE = 96 << 20  # larger blobs go in chunks: a cut costs at most one, and proxies limit single requests
CHUNK = 32 << 20
_PIECE = 1 << 18
_WHOLE_S = 120.0
_LAST_S = 600.0  # registries read a large blob again before they answer the last request
_NO_MOUNT = ("registry-not-found", "registry-protocol", "registry-refused")
_RANGE = re.compile(r"(?:bytes=)?0-(\d+)")

How = Literal["present", "mounted", "sent"]


@dataclass(frozen=True)
class Session:
    """An upload that the registry has begun. url: where to go on. offset: bytes that it has. smallest: chunk it demands."""

    url: str
    offset: int = 0
    smallest: int = 0


@dataclass(frozen=True)
class Step:
    """The next request: `whole` and `last` end the upload, `chunk` does not. The bytes from start to end go with it."""

    kind: Literal["whole", "chunk", "last"]
    start: int
    end: int


def next_step(offset: int, size: int, smallest: int = 0) -> Step:
    """What to send to a session that has `offset` bytes of `size`. Pure."""
    if offset == 0 and size <= WHOLE:
        return Step("whole", 0, size)
    if offset < size:
        return Step("chunk", offset, min(size, offset + max(CHUNK, smallest)))
    return Step("last", size, size)


def offset_in(answer: Answer) -> int | None:
    """How many bytes the session's Range says that there are; None where it says nothing. Pure.

    `0-0` means none: distribution writes it for an empty session.
    """
    found = _RANGE.fullmatch(answer.header("range").strip())
    if found is None:
        return None
    last = int(found[1])
    return last + 1 if last else 0


def exists(registry: Registry, repository: str, digest: str) -> bool:
    call = Call("HEAD", f"/v2/{repository}/blobs/{digest}")
    return registry.ask(call, f"looking into {repository}", (200, 404)).status == 200


class Upload:
    """Of one blob from a file. Memory does not depend on its size. kept: where a killed run was, and this one is."""

    def __init__(
        self,
        registry: Registry,
        repository: str,
        blob: Descriptor,
        source: Path,
        told: BlobProgress,
        kept: HalfDone | None = None,
    ) -> None:
        self._registry = registry
        self._repository = repository
        self._blob = blob
        self._source = source
        self._told = told
        self._kept = kept or HalfDone()
        self._what = f"pushing {repository}"

    def run(self, mount_from: Sequence[str] = ()) -> How:
        """Raises MlshipError: exit 8, 13, or 5 when the registry got other bytes or is none."""
        how = self._run(mount_from)
        self._kept.forget()
        return how

    def _run(self, mount_from: Sequence[str]) -> How:
        if exists(self._registry, self._repository, self._blob.digest):
            return "present"
        session = self._left()
        for other in mount_from if session is None else ():
            if other == self._repository:
                continue
            self._drop(session)
            session = self._mounted(other)
            if session is None:
                return "mounted"
        self._send_all(session or self._begun())
        return "sent"

    def _left(self) -> Session | None:
        """Where a killed run was, when the registry has kept some of it."""
        if not (url := self._kept.url):
            return None
        session = self._standing(Session(url))
        return session if session and session.offset else None

    def _drop(self, session: Session | None) -> None:
        """One that is not needed; registries clear away those that are left in any case."""
        if session is not None:
            with suppress(MlshipError):
                self._registry.ask(Call("DELETE", session.url), self._what, (204,))

    def _mounted(self, other: str) -> Session | None:
        """None: done, the blob is here. Else the session that the registry began instead (202), or a new one."""
        query = f"mount={quote(self._blob.digest)}&from={quote(other, safe='')}"
        call = Call("POST", f"/v2/{self._repository}/blobs/uploads/?{query}")
        try:
            answer = self._registry.ask(call, self._what, (201, 202))
        except MlshipError as error:
            if error.exit is not Exit.DENIED and error.code not in _NO_MOUNT:
                raise
            return self._begun()  # not readable for us, or mounting is not known there
        return None if answer.status == 201 else self._session(answer)

    def _begun(self) -> Session:
        call = Call("POST", f"/v2/{self._repository}/blobs/uploads/")
        return self._session(self._registry.ask(call, self._what, (202,)))

    def _session(self, answer: Answer, offset: int = 0, before: Session | None = None) -> Session:
        location = answer.header("location") or (before.url if before else "")
        if not location:
            raise self._registry.nonsense("it began an upload without saying where")
        smallest = answer.header("oci-chunk-min-length")
        known = before.smallest if before else 0
        session = Session(self._registry.url(location), offset, int(smallest) if smallest.isdecimal() else known)
        self._kept.keep(session.url)
        return session

    def _send_all(self, session: Session) -> None:
        """Until the registry has it. Whatever moves the furthest offset on makes the count of failures start again."""
        failures, furthest = 0, 0
        while True:
            step = next_step(session.offset, self._blob.size, session.smallest)
            outcome = self._try(session, step)
            if isinstance(outcome, Answer) and _is_done(step, outcome):
                self._check_digest(outcome)
                return
            if isinstance(outcome, Session):
                session = outcome
                if session.offset > furthest:
                    failures, furthest = 0, session.offset
                continue
            failures += 1
            if failures >= TRIES:
                raise self._given_up(outcome)
            self._registry.wait(failures, outcome if isinstance(outcome, Answer) else None)
            resumed = self._resumed(session)
            if resumed is None:
                return
            session = resumed
            if session.offset > furthest:
                failures, furthest = 0, session.offset

    def _try(self, session: Session, step: Step) -> Session | Answer | Cut:
        """A session that went on; an answer that ends the upload or may pass; or a cut. Raises for what will not pass."""
        call = self._call(session, step)
        used = self._registry.authorization(call.url)
        try:
            answer = self._registry.send(call)
        except Cut as cut:
            return cut
        if step.kind == "chunk" and answer.status in (201, 202, 204):
            at = offset_in(answer)
            return self._session(answer, step.end if at is None else min(at, self._blob.size), session)
        if _is_done(step, answer) or self._may_pass(answer, used):
            return answer
        raise self._registry.refusal(answer, self._what)

    def _may_pass(self, answer: Answer, used: str) -> bool:
        """Lost sessions, wrong offsets and bytes that were changed on the way are tried again, too."""
        if answer.status == 401:
            return self._registry.renew(answer, used)
        lost = answer.status in (404, 416) or (
            answer.status == 400 and codes(answer) & {"DIGEST_INVALID", "SIZE_INVALID", "BLOB_UPLOAD_INVALID"}
        )
        return bool(lost) or is_passing(answer.status)

    def _resumed(self, session: Session) -> Session | None:
        """Where the registry stands after a failure; None: it has the whole blob. From zero only when the session is gone."""
        if standing := self._standing(session):
            return standing
        if exists(self._registry, self._repository, self._blob.digest):
            return None
        return self._begun()

    def _standing(self, session: Session) -> Session | None:
        """The session as the registry has it; None when it is gone."""
        try:
            answer = self._registry.ask(Call("GET", session.url), self._what, (200, 202, 204))
        except MlshipError as error:
            if error.exit in (Exit.UNREACHABLE, Exit.DENIED):
                raise
            return None
        offset = offset_in(answer)
        return None if offset is None or offset > self._blob.size else self._session(answer, offset, session)

    def _call(self, session: Session, step: Step) -> Call:
        headers = {"Content-Type": "application/octet-stream"}
        size = step.end - step.start
        if step.kind == "chunk":
            headers["Content-Range"] = f"{step.start}-{step.end - 1}"
            return Call("PATCH", session.url, headers, lambda: self._pieces(step), size)
        mark = "&" if "?" in session.url else "?"
        url = f"{session.url}{mark}digest={quote(self._blob.digest)}"
        if step.kind == "last":
            return Call("PUT", url, headers, answer_s=_LAST_S)
        return Call("PUT", url, headers, lambda: self._pieces(step), size, answer_s=_WHOLE_S)

    def _pieces(self, step: Step) -> Iterator[bytes]:
        left = step.end - step.start
        with self._source.open("rb", buffering=0) as file:
            file.seek(step.start)
            while left:
                self._registry.go_on()
                piece = file.read(min(_PIECE, left))
                if not piece:
                    raise _damaged(self._source, self._blob)
                left -= len(piece)
                yield piece
                self._told.add(step.end - left, len(piece))

    def _check_digest(self, answer: Answer) -> None:
        told = answer.header("docker-content-digest")
        if told and told != self._blob.digest:
            raise self._registry.nonsense(f"it took the blob {self._blob.digest} and calls it {told}")

    def _given_up(self, outcome: Answer | Cut) -> MlshipError:
        if isinstance(outcome, Cut):
            return self._registry.silence(outcome)
        if outcome.status == 400:
            return _other_bytes(self._registry.name, self._source, self._blob)
        return self._registry.refusal(outcome, self._what)


def _is_done(step: Step, answer: Answer) -> bool:
    return step.kind != "chunk" and answer.status in (201, 204)


def _other_bytes(registry: str, source: Path, blob: Descriptor) -> MlshipError:
    import hashlib

    with source.open("rb") as file:
        if "sha256:" + hashlib.file_digest(file, "sha256").hexdigest() != blob.digest:
            return _damaged(source, blob)
    return MlshipError(
        f"{registry} got other bytes than were sent, {TRIES} times: the digest of {blob.digest[:19]}… is not what arrived",
        where=registry,
        fix="a proxy in between cuts or changes what is sent: go around it (NO_PROXY), or raise its size limit",
        exit=Exit.BUILD_FAILED,
        code="registry-other-bytes",
    )


def _damaged(source: Path, blob: Descriptor) -> MlshipError:
    return MlshipError(
        f"the blob {blob.digest} was changed on this machine",
        where=str(source),
        fix="delete the file, then run mlship build",
        exit=Exit.BUILD_FAILED,
        code="damaged-layout",
    )
