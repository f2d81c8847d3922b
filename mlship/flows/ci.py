"""ci: a pipeline for a CI system, and what its jobs cannot do in a line of shell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mlship import __version__
from mlship.config.environments import environments_of
from mlship.config.load import find_file, load_project
from mlship.config.nodes import Map
from mlship.config.read import compose, read_text
from mlship.config.report import Report
from mlship.disk import make_folder, write_atomic
from mlship.errors import MlshipError
from mlship.flows.context import Context, Where
from mlship.flows.pipelines.comment import Commented, put_comment, thread_of
from mlship.flows.pipelines.pipeline import Pipeline, Source, in_order, pipeline, requirements_of
from mlship.flows.pipelines.systems import System, file_of, system_of
from mlship.oci.registry.connection import Connection
from mlship.templating import render

LOCK = "mlship.lock"
ELSEWHERE = "work in another folder with -C"


@dataclass(frozen=True)
class Made:
    """file: where the system looks for it. written: False where it was only rendered, or stood there already."""

    system: str
    file: Path
    text: str
    pipeline: Pipeline
    written: bool


def ci(context: Context, where: Where, name: str, commands: Sequence[str], *, write: bool = False, force: bool = False) -> Made:
    """commands: those of this mlship. Raises MlshipError where a file that differs would be replaced without `force`."""
    system = system_of(name)
    file = where.file or find_file(context.cwd)
    top = _repository(file.absolute().parent)
    found = pipeline(_source(file, top, where.target), __version__, commands)
    _refuse_unknown_login(system, found)
    text = render(system.template, found)
    path = _place(system, top, found)
    if write:
        _refuse_replacing(path, text, name, force)
    written = write and not _is_same(path, text)
    if written:
        make_folder(path.parent, ELSEWHERE)
        write_atomic(path, text, other=ELSEWHERE)
    return Made(name, path, text.decode(), found, written)


def comment(context: Context, where: Where, name: str, report: Path, connection: Connection | None = None) -> Commented:
    """Puts the report on the pull request that this job runs for. connection: instead of the network's own."""
    thread = thread_of(system_of(name).name, context.environ)
    project = load_project(where.file or find_file(context.cwd), where.environment, where.target)
    text = _report(report)
    return put_comment(connection or Connection(context.environ), thread, project.name, text)


def _report(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise MlshipError(
            f"the report cannot be read: {error.strerror}", str(path), "name the file that the job wrote"
        ) from None


def _source(file: Path, top: Path, target: str) -> Source:
    projects = tuple(load_project(file, name, target) for name in in_order(_environments(file)) or ("",))
    root = file.absolute().parent
    folder = root.relative_to(top).as_posix()
    files = [entry.name for entry in root.iterdir() if entry.is_file()]
    return Source("" if folder == "." else folder, projects, requirements_of(projects[0], files), LOCK in files)


def _environments(file: Path) -> tuple[str, ...]:
    """Names only; what is wrong with the file is found when it is loaded."""
    report = Report(file.name)
    root = compose(read_text(file), report)
    return tuple(environments_of(root, report)) if isinstance(root, Map) else ()


def _repository(folder: Path) -> Path:
    """The top of the repository: where `.git` is; a folder in no repository is its own."""
    return next((parent for parent in (folder, *folder.parents) if (parent / ".git").exists()), folder)


def _place(system: System, top: Path, found: Pipeline) -> Path:
    return top / file_of(system, found.project, "" if found.folder == "." else found.folder)


def _refuse_unknown_login(system: System, found: Pipeline) -> None:
    """Of itself, Azure Pipelines logs in at Azure alone; a key in a variable would be no keyless login."""
    other = sorted({stage.cloud for stage in found.stages} - {"", "azure"})
    if system.name == "azure" and other:
        raise MlshipError(
            f"Azure Pipelines has no keyless login for {' and '.join(other)}",
            fix="mlship ci github, gitlab or jenkins has one",
            code="no-login",
        )


def _is_same(path: Path, text: bytes) -> bool:
    return path.is_file() and path.read_bytes() == text


def _refuse_replacing(path: Path, text: bytes, name: str, force: bool) -> None:
    if path.exists() and not _is_same(path, text) and not force:
        raise MlshipError(
            f"{path.name} is there already, and differs from what would be written",
            str(path),
            f"mlship ci {name} shows the new one; mlship ci {name} --write --force replaces it",
            code="exists",
        )
