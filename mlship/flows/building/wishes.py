"""What a build is asked for besides its project; what cannot be had is refused before anything is made."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlship.config.project import Project
from mlship.errors import MlshipError
from mlship.flows.context import Context
from mlship.flows.fetching import Take
from mlship.oci.layer import Compression

if TYPE_CHECKING:
    from mlship.flows.push import Pushing


@dataclass(frozen=True)
class Wishes:
    """builder: `mlship` needs no daemon; `docker` renders a Dockerfile and builds it with BuildKit. locked: fail on drift;
    retrained: but not where only the models are others; those that are fetched are then the newest.

    kept: where the Dockerfile and its files stay; then they are made anew even where nothing changed. sbom: a folder for the
    image's papers, which are then attached to it in the store as well. reproducible: the same bytes of layers and manifest on
    every machine, not only the same content. push: references to push to. push_as: in which form. archive: a file for all that
    a machine without a network needs. explain: why each layer was made again, against the build before.
    """

    python: str = ""
    builder: str = "mlship"
    locked: bool = False
    retrained: bool = False
    kept: Path | None = None
    sbom: Path | None = None
    push: tuple[str, ...] = ()
    push_as: str = ""
    reproducible: bool = False
    archive: Path | None = None
    explain: bool = False

    @property
    def take(self) -> Take:
        """Which of the models that have to be fetched."""
        return "newest" if self.retrained else "locked" if self.locked else "pinned"


def granted(context: Context, project: Project, wishes: Wishes) -> Pushing | None:
    """Where to push, if anywhere. Raises MlshipError (exit 2) for what cannot be had, whatever is built."""
    if wishes.kept is not None and wishes.builder != "docker":
        raise _usage("--context keeps what a Dockerfile is built from", "add --builder docker")
    if wishes.sbom is not None and wishes.sbom.exists() and not wishes.sbom.is_dir():
        raise _usage(f"{wishes.sbom} is not a folder", "name a folder, new or old, with --sbom")
    if wishes.push_as and not wishes.push:
        raise _usage("--push-as says in which form to push, and there is nowhere to", "add --push REFERENCE")
    wanted = None
    if wishes.push:
        # here and not above: few builds push, and what pushes takes long to import
        from mlship.flows.push import pushing

        wanted = pushing(context, project, wishes.push, wishes.push_as)
    if wishes.archive is not None:
        from mlship.oci.archive import check_place

        check_place(wishes.archive)
    return wanted


def compression_of(project: Project, wishes: Wishes) -> Compression:
    """How layers are packed. Raises MlshipError where mlship.yaml and --reproducible contradict each other."""
    if not wishes.reproducible:
        return project.build.compression
    if project.build.compression != "gzip":
        raise MlshipError(
            f"--reproducible packs layers with gzip, and build.compression is {project.build.compression}",
            project.at("build.compression"),
            "leave one of them out",
            code="usage",
        )
    return "zlib"


def _usage(what: str, fix: str) -> MlshipError:
    return MlshipError(what, fix=fix, code="usage")
