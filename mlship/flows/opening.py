"""From what the command line says to a project and an opened target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlship.config.load import find_file, load_project
from mlship.config.names import check_environment_name, check_project_name, check_region
from mlship.config.project import Project
from mlship.errors import MlshipError
from mlship.flows.command_line import account_of, command_for, list_command
from mlship.flows.context import Context, Where
from mlship.flows.loading import in_region, region_here
from mlship.flows.loading import project_of as project_of
from mlship.flows.results import ReleaseView
from mlship.releases.history import History
from mlship.releases.release import Release
from mlship.targets.base import FrontImage, OneOfSeveral, Opening, Target
from mlship.targets.table import SERVICES, open_target

if TYPE_CHECKING:  # few commands push
    from mlship.oci.image import Image
    from mlship.oci.registry.push_variant import PushVariant


UNREADABLE = ("damaged-records", "lost-records")  # codes of errors that say that nobody knows what is recorded


@dataclass(frozen=True)
class Opened:
    """A target that is opened for one project in one environment.

    project: None when there is no YAML. host: one of `targets.docker.hosts`, else empty. engine: what the docker target talks
    to, where a host or DOCKER_HOST says so. region: of a cloud, where somebody says it; account: there, where mlship.yaml does.
    is_assumed: nobody said the target.
    """

    name: str
    environment: str
    target_name: str
    service: str
    target: Target
    project: Project | None
    host: str = ""
    engine: str = ""
    region: str = ""
    account: str = ""
    is_assumed: bool = False

    def command(self, verb: str) -> str:
        """A command line for this service that works from any folder."""
        return command_for(verb, self.name, self.target_name, self.environment, self.region, self.account)


def opened(context: Context, where: Where) -> Opened:
    """For commands that also work without a YAML: then name and target come from the command line."""
    project = project_if_any(context, where)
    if project is not None:
        return as_recorded(context, open_project(context, project, where.host))
    check_project_name(where.name)
    if where.environment:
        check_environment_name(where.environment)
    target = where.target or "local"
    region = check_region(target, where.region) if where.region else region_here(context, target)
    place = _open(context, where.name, where.environment, target, {"region": region} if region else {}, None)
    return replace(place, is_assumed=not where.target)


def as_recorded(context: Context, place: Opened) -> Opened:
    """The service of a cloud that the project runs on, whatever its file says by now: what is there is asked, and taken away, there.

    Only a deploy goes to the service that the file says.
    """
    if not isinstance(place.target, OneOfSeveral):
        return place
    try:
        history = place.target.records.read()
    except MlshipError as error:
        if error.code not in UNREADABLE:
            raise
        return place
    operating = history.operating if history else {}
    if operating.get("service") in (None, "", place.service):
        return place
    settings = {**operating.get("settings", {}), "service": operating["service"]}
    return replace(reopened(context, place, settings), project=place.project)


def open_project(context: Context, project: Project, host: str = "") -> Opened:
    """host: one of `targets.docker.hosts`, empty for the engine that DOCKER_HOST or the docker context names."""
    settings = settings_of(project)
    return _open(context, project.name, project.environment, project.target, settings, project, host)


def reopened(context: Context, opened: Opened, settings: Mapping[str, Any]) -> Opened:
    """The same project and environment as records describe them, and not as the file does."""
    return _open(context, opened.name, opened.environment, opened.target_name, settings, None)


def settings_of(project: Project) -> dict[str, Any]:
    """The target's own section as plain data, defaults filled in."""
    import msgspec

    section = getattr(project.targets, project.target, None)
    if section is None:
        return {}
    plain: dict[str, Any] = msgspec.to_builtins(msgspec.structs.asdict(section))
    if project.target == "aws":  # a task says what it runs on before its image is looked at
        plain["arch"] = "arm64" if project.build.platforms == ("linux/arm64",) else "x86_64"
    return plain


def release_view(release: Release | None) -> ReleaseView | None:
    if release is None:
        return None
    models = {model.name: model.sha256 for model in release.served.models}
    return ReleaseView(release.id, release.served.content, models, release.created)


def history_or_error(opened: Opened, history: History | None) -> History:
    """Raises MlshipError when nothing of the project is there: never deployed, or destroyed."""
    if history is None:
        place = f"{opened.target_name}, environment {opened.environment}" if opened.environment else opened.target_name
        there = f"{list_command(opened.target_name, opened.region)} shows what is there"
        if opened.is_assumed:
            there = "mlship list shows what is on this machine, --target NAME asks another place"
        raise MlshipError(
            f"{opened.name} is not deployed to {place}",
            fix=f"{there}; mlship deploy puts it there",
            code="not-deployed",
        )
    return history


def project_if_any(context: Context, where: Where) -> Project | None:
    """With a name, only a YAML that is that project counts; without a name there must be one."""
    if where.file is not None:
        return project_of(context, where)
    if not where.name:
        return _project_here(context, where)
    file = found_file(context.cwd)
    if file is None:
        return None
    try:
        project = load_project(file, where.environment, where.target)
    except MlshipError:
        # A broken file of some project must not stand between a person and the rollback of a named one.
        return None
    if project.name != where.name:
        return None
    return in_region(project, where.region) if where.region else project


def _project_here(context: Context, where: Where) -> Project:
    try:
        return project_of(context, where)
    except MlshipError as error:
        if error.code == "no-file":
            here = "mlship list shows those on this machine, --target NAME asks another place"
            error.fix = f"{error.fix}; for a running service give its name ({here})"
        raise


def found_file(folder: Path) -> Path | None:
    """The mlship.yaml of the folder or above it; None where there is none."""
    try:
        return find_file(folder)
    except MlshipError:
        return None


def _open(
    context: Context,
    name: str,
    environment: str,
    target: str,
    settings: Mapping[str, Any],
    project: Project | None,
    host: str = "",
) -> Opened:
    environ = {**context.environ, "DOCKER_HOST": host} if host else context.environ
    opening = Opening(
        project=name,
        environment=environment,
        home=context.home,
        runner=context.runner,
        clock=context.clock,
        who=context.who,
        environ=environ,
        settings=settings,
        front=_front(context, project) if target == "docker" else None,
        progress=context.progress,
        derive=partial(_derived, context),
    )
    engine = environ.get("DOCKER_HOST", "") if target == "docker" else ""
    found = open_target(target, opening)
    service = found.service if isinstance(found, OneOfSeveral) else SERVICES.get(target, "")
    region = str(settings.get("region") or "")
    return Opened(name, environment, target, service, found, project, host, engine, region, account_of(target, settings))


def _derived(context: Context, image: Image, variant: PushVariant) -> Image:
    from mlship.image.variants import derived
    from mlship.image.workplace import Workplace

    return derived(Workplace(context.home, context.runner, context.progress, context.environ), image, variant)


def _front(context: Context, project: Project | None) -> FrontImage:
    """The builder is only imported for the target that has a front, and an archive is only read when the front is made."""
    from mlship.image.front import front_image, front_key, new_front_image
    from mlship.image.system.apt import machine_archive
    from mlship.image.workplace import Workplace

    workplace = Workplace(context.home, context.runner, context.progress, context.environ)
    mirror = project.build.mirror if project else None

    def make(platform: str) -> str:
        return front_image(workplace, lambda: machine_archive(context.runner, mirror), platform).content

    def anew(platform: str) -> str:
        return new_front_image(workplace, lambda: machine_archive(context.runner, mirror), platform).content

    return FrontImage(front_key(), make, anew)
