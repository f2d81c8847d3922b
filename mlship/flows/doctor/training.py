"""The environment that trained the model."""

from __future__ import annotations

from collections.abc import Iterator

from mlship.errors import Finding, MlshipError, Severity
from mlship.flows.doctor.ground import Ground
from mlship.image.packages.find_environment import find_environment


def check(ground: Ground) -> Iterator[Finding]:
    """Without a project a missing environment is no more than a hint."""
    build = ground.project.build if ground.project else None
    try:
        found = find_environment(
            ground.root,
            python=ground.python,
            requirements=build.requirements if build else None,
            environ=ground.context.environ,
            runner=ground.context.runner,
            python_version=(build.python or "") if build else "",
        )
    except MlshipError as error:
        severity: Severity = "error" if ground.project or ground.python else "warning"
        yield Finding(error.what, error.where, error.fix, severity, "training")
        return
    count = f", {len(found.distributions)} packages" if found.distributions else ""
    yield Finding(f"{found.source} (Python {found.version}{count})", str(found.python or found.file), "", "note", "training")
