"""One blob out of a registry, streamed into the layout; after a cut it goes on where it stood (Range)."""

from __future__ import annotations

from mlship.disk import disk_errors
from mlship.errors import Exit, MlshipError
from mlship.oci.image import Descriptor
from mlship.oci.layout import BlobWriter, Layout
from mlship.oci.registry.client import Registry
from mlship.oci.registry.connection import Answer, Call, Cut, Streamed
from mlship.oci.registry.retrying import TRIES, is_passing
from mlship.oci.registry.speed import BlobProgress


class Download:
    """Memory does not depend on the blob's size; nothing of a wrong or cut one stays in the layout."""

    def __init__(self, registry: Registry, repository: str, blob: Descriptor, layout: Layout, told: BlobProgress) -> None:
        self._registry = registry
        self._repository = repository
        self._blob = blob
        self._layout = layout
        self._told = told
        self._what = f"pulling {repository}"

    def run(self) -> None:
        """Raises MlshipError: exit 8, 13, or 5 when the bytes are not those of the digest."""
        self._layout.path(self._blob.digest)
        with disk_errors(self._layout.blobs), self._layout.writer() as writer:
            failures, best = 0, 0
            while writer.size < self._blob.size:
                outcome = self._try(writer)
                if outcome is None and writer.size >= self._blob.size:
                    break
                failures = 0 if writer.size > best else failures
                best = writer.size
                failures += 1
                if failures >= TRIES:
                    raise self._given_up(outcome, writer.size)
                self._registry.wait(failures, outcome if isinstance(outcome, Answer) else None)
            found = writer.described(self._blob.media_type)
            if (found.digest, found.size) != (self._blob.digest, self._blob.size):
                raise self._other_bytes(found)
            writer.commit(self._blob.media_type)

    def _try(self, writer: BlobWriter) -> Answer | Cut | None:
        """None: the body came to its end. Raises for what will not pass."""
        start = writer.size
        url = self._registry.url(f"/v2/{self._repository}/blobs/{self._blob.digest}")
        call = Call("GET", url, {"Range": f"bytes={start}-"} if start else {})
        used = self._registry.authorization(url)
        try:
            with self._registry.stream(call) as streamed:
                answer = streamed.answer
                if answer.status in (200, 206):
                    self._take(streamed, writer, skip=start if answer.status == 200 else 0)
                    return None
        except Cut as cut:
            if cut.trouble in ("certificate", "tls"):
                raise self._registry.silence(cut) from None
            return cut
        if is_passing(answer.status) or (answer.status == 401 and self._registry.renew(answer, used)):
            return answer
        raise self._registry.refusal(answer, self._what)

    def _take(self, streamed: Streamed, writer: BlobWriter, skip: int) -> None:
        """skip: bytes that are here already, from a registry that does not know Range."""
        for piece in streamed.pieces:
            self._registry.go_on()
            fresh = piece[skip:]
            skip = max(0, skip - len(piece))
            writer.write(fresh)
            self._told.add(writer.size, len(piece))
            if writer.size > self._blob.size:
                return

    def _given_up(self, outcome: Answer | Cut | None, size: int) -> MlshipError:
        if isinstance(outcome, Cut):
            return self._registry.silence(outcome)
        if isinstance(outcome, Answer):
            return self._registry.refusal(outcome, self._what)
        return self._registry.nonsense(f"the blob {self._blob.digest} ends after {size} of {self._blob.size} bytes")

    def _other_bytes(self, found: Descriptor) -> MlshipError:
        size = "more than " if found.size > self._blob.size else ""
        return MlshipError(
            f"{self._registry.name} gave other bytes than those of {self._blob.digest}: {size}{found.size} bytes, {found.digest}",
            where=self._registry.name,
            fix="a proxy in between may change what comes: go around it (NO_PROXY), or push the image again",
            exit=Exit.BUILD_FAILED,
            code="registry-other-bytes",
        )
