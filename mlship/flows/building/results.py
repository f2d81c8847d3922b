"""What a build gives back: apart from the other flows' results, so that a build with nothing to do pays for its own alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mlship.frameworks.engine_choice import EngineFacts

if TYPE_CHECKING:
    from mlship.errors import Finding
    from mlship.image.explain import LayerWhy
    from mlship.image.pushed import PushRecord
    from mlship.image.sizes import Part


@dataclass(frozen=True)
class ModelReport:
    """A model for people. inputs: one line such as `4 features (2 text, 1 nullable)`. sample: number of rows.

    source_version: what pins a fetched model at its source.
    """

    name: str
    framework: str
    title: str
    path: str
    size: int
    sha256: str
    inputs: str = ""
    sample: int = 0
    code: tuple[str, ...] = ()
    trust: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    engine: EngineFacts = EngineFacts()
    source_version: str = ""


@dataclass(frozen=True)
class LayerReport:
    """One layer. size: uncompressed bytes; compressed: bytes moved. is_new: was not in the store before this build.

    digest: of its blob; equal ones are one blob, whichever images have it.
    """

    role: str
    name: str
    size: int
    compressed: int
    is_new: bool
    digest: str = ""


@dataclass(frozen=True)
class ImageReport:
    """The image of one platform. to_run_at_deploy: what no program here could prove, for people, one each."""

    reference: str
    content: str
    digest: str
    platform: str
    size: int
    compressed: int
    layers: tuple[LayerReport, ...]
    base: str
    packages: int
    checks: tuple[str, ...]
    to_run_at_deploy: tuple[str, ...] = ()


@dataclass(frozen=True)
class PushedLayer:
    """A layer as it is in a registry. size: of its blob there. how: `sent`, `mounted` from another repository, or `present`."""

    role: str
    name: str
    digest: str
    size: int
    how: str


@dataclass(frozen=True)
class PushReport:
    """What went to one place. reference: by tag; deploy: by digest. moved: bytes of blobs over the line, repeated ones counted.

    contents: content ids, one a platform. kind: of the manifest. variant: as `--push-as` takes it. papers: their titles.
    """

    reference: str
    deploy: str
    contents: tuple[str, ...]
    kind: str
    variant: str
    moved: int
    layers: tuple[PushedLayer, ...]
    papers: tuple[str, ...] = ()
    seconds: float = 0.0
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class ArchiveReport:
    """A build in one file. size: its bytes."""

    path: Path
    size: int


@dataclass(frozen=True)
class Explanation:
    """build --explain, of one platform's image. before: the content id that it is compared with, empty where there was none.

    when: that was built, seconds since the epoch, 0 where nobody knows. whys: empty where all inputs are those of before.
    """

    platform: str
    before: str
    when: float
    whys: tuple[LayerWhy, ...]


@dataclass(frozen=True)
class Built:
    """build. reference: what `deploy --image` takes. unchanged: an image of this content existed; nothing was done.

    papers: the files that were written for `--sbom`. pushed: now; variants: ever, from this machine.
    images: one a platform; what stands beside them is of the first. parts: everything in it, the biggest first.
    archive: the file of `--archive`.
    """

    project: str
    models: tuple[ModelReport, ...]
    environment: str
    base: str
    packages: int
    reference: str
    content: str
    digest: str
    platform: str
    size: int
    compressed: int
    layers: tuple[LayerReport, ...]
    checks: tuple[str, ...]
    findings: tuple[Finding, ...]
    engine: str
    unchanged: bool
    seconds: float = 0.0
    papers: tuple[Path, ...] = ()
    pushed: tuple[PushReport, ...] = ()
    variants: tuple[PushRecord, ...] = ()
    images: tuple[ImageReport, ...] = ()
    parts: tuple[Part, ...] = ()
    explained: tuple[Explanation, ...] = ()
    archive: ArchiveReport | None = None
