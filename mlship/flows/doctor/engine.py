"""A Docker engine: needed by the target docker and by `build --builder docker` only."""

from __future__ import annotations

from collections.abc import Iterator

from mlship.errors import Finding, MlshipError
from mlship.flows.doctor.ground import Ground
from mlship.targets.docker.engine import connect
from mlship.units import size_text


def check(ground: Ground) -> Iterator[Finding]:
    try:
        engine = connect(ground.context.environ)
        facts = engine.facts()
    except MlshipError as error:
        wanted = ground.project is not None and ground.project.target == "docker"
        what = error.what if wanted else f"{error.what}; build and the target local do without"
        yield Finding(what, error.where, error.fix, "warning" if wanted else "note", "docker")
        return
    said = f"engine {facts.version}, {facts.system}/{facts.architecture}, {facts.cpus} cores, {size_text(facts.memory)}"
    yield Finding(said, engine.address, severity="note", code="docker")
