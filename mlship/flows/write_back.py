"""Tells MLflow's registry what of it is deployed, where mlship.yaml asks for it: tags of the version, and an alias."""

from __future__ import annotations

import time

from mlship.config.addresses import scheme_of
from mlship.config.schema import Model
from mlship.errors import MlshipError
from mlship.flows.context import Context
from mlship.flows.opening import Opened
from mlship.image.record import BuildRecords, RecordedModel
from mlship.releases.release import Release
from mlship.sources.base import Opening

ALIAS = "deployed"


def written_back(context: Context, opened: Opened, release: Release) -> tuple[str, ...]:
    """What to say of it; empty where nobody asked. The release serves already: what fails here is told and undoes nothing."""
    project = opened.project
    wanted = [(name, model) for name, model in project.models if model.write_back] if project else []
    if not wanted:
        return ()
    record = BuildRecords(context.home.images).of_content(release.served.content)
    built = {model.name: model for model in record.models} if record else {}
    return tuple(_told(context, opened, release, model, built.get(name)) for name, model in wanted)


def _told(context: Context, opened: Opened, release: Release, model: Model, built: RecordedModel | None) -> str:
    number = built.source_version.removeprefix("version ") if built and scheme_of(built.path) == "models" else ""
    if built is None or not number:
        return f"MLflow was not told: this machine does not know which version of {model.uri} {release.id} has"
    # here and not above: few deployments tell anybody
    from mlship.sources.mlflow import tell

    assert opened.project is not None
    alias = f"{ALIAS}-{opened.environment}" if opened.environment else ALIAS
    opening = Opening(built.path, opened.project.root, context.environ, context.runner, opened.project.at("model.write_back"))
    try:
        tell(opening, number, _facts(context, opened, release), alias)
    except MlshipError as error:
        return f"MLflow was not told: {error.what}; {opened.command('verify')} shows that {release.id} serves all the same"
    return f"MLflow knows: version {number} of {model.uri.partition(':/')[2]} has the alias {alias}"


def _facts(context: Context, opened: Opened, release: Release) -> dict[str, str]:
    return {
        "mlship.project": opened.name,
        "mlship.env": opened.environment,
        "mlship.target": opened.target_name,
        "mlship.release": release.id,
        "mlship.content": release.served.content,
        "mlship.deployed": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(context.clock())),
    }
