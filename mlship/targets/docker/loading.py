"""What an engine lacks of an image goes to it, and no more; where that is not enough, all of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

from mlship.oci.engine import docker_archive, sent_blobs
from mlship.oci.image import CONTENT_LABEL, Image
from mlship.oci.layout import Layout
from mlship.progress import Progress, Silent
from mlship.targets.docker.engine import Engine, EngineImage, EngineRefused
from mlship.units import size_text


@dataclass(frozen=True)
class Sent:
    """Bytes that went over the line, and bytes of layers that the engine had."""

    size: int
    kept: int


@dataclass
class Sendings:
    """What a command sent. progress: hears of it while it goes."""

    progress: Progress = field(default_factory=Silent)
    parts: list[Sent] = field(default_factory=list)

    def notes(self) -> tuple[str, ...]:
        """`sent 41 KB to the engine, which has the other 96 MB`, of what was sent since this was asked; nothing without any."""
        parts, self.parts = self.parts, []
        kept = sum(part.kept for part in parts)
        others = f", which has the other {size_text(kept)}" if kept else ""
        return (f"sent {size_text(sum(part.size for part in parts))} to the engine{others}",) if parts else ()


def load(engine: Engine, layout: Layout, image: Image, sendings: Sendings) -> None:
    """Brings the image to the engine. Raises what the engine refuses about a whole one."""
    line = _Line(engine, layout, image, sendings.progress)
    known = known_layers(engine, image)
    if known and not _is_taken(line, known):
        known = 0
    if not known:
        line.send(0)
    sendings.parts.append(Sent(line.gone, sum(layer.blob.size for layer in image.layers[:known])))


def _is_taken(line: _Line, known: int) -> bool:
    """False where a layer went after it was seen, or where this engine keeps layers otherwise than it says."""
    try:
        line.send(known)
    except EngineRefused:
        return False
    return True


def known_layers(engine: Engine, image: Image) -> int:
    """How many of the image's layers, from the lowest one up, some image at the engine has as its own lowest ones.

    Ours are looked at first: only what has none of their layers, as a base by reference, asks after everybody's.
    """
    if engine.facts().whole_images:
        return 0
    wanted = [layer.diff_id for layer in image.layers]
    return shared_layers(wanted, engine.images([CONTENT_LABEL])) or shared_layers(wanted, engine.images([]))


def shared_layers(wanted: Sequence[str], images: Iterable[EngineImage]) -> int:
    """The longest beginning that `wanted` has in common with an image. Pure."""
    return max((_common(wanted, image.layers) for image in images), default=0)


@dataclass
class _Line:
    """One image on its way to one engine. gone: bytes of all tries."""

    engine: Engine
    layout: Layout
    image: Image
    progress: Progress
    gone: int = 0

    def send(self, known: int) -> None:
        total = sum(blob.size for blob in sent_blobs(self.layout, self.image, known))
        kept = sum(layer.blob.size for layer in self.image.layers[:known])
        self.progress.step("deliver", f"{size_text(total)} to {self.engine.address}{_besides(kept)}")
        self.engine.load(lambda: self._counted(docker_archive(self.layout, self.image, known), total))

    def _counted(self, archive: Iterator[bytes], total: int) -> Iterator[bytes]:
        done = 0
        for chunk in archive:
            yield chunk
            done += len(chunk)
            self.gone += len(chunk)
            self.progress.amount("deliver", min(done, total), total)


def _besides(kept: int) -> str:
    return f", {size_text(kept)} are there" if kept else ""


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
