"""What resources.gpu makes a build fetch, asked before there is a lock."""

from __future__ import annotations

from mlship.errors import Exit, Finding, MlshipError
from mlship.flows.base import resolved_base
from mlship.flows.building.images import workplace_of
from mlship.flows.context import Context
from mlship.flows.gather import Gathered
from mlship.flows.making import archive_of
from mlship.image.packages.resolve import lock as resolve
from mlship.image.system.base import glibc


def weighed(context: Context, gathered: Gathered) -> tuple[Finding, ...]:
    """What a build of the project with resources.gpu would fetch, from the indexes; nothing is fetched. Where they cannot be
    reached, that is a warning: only a build needs them."""
    workplace = workplace_of(context)
    workplace.progress.step("packages", "asking the indexes what the CUDA builds weigh")
    try:
        resolution = resolve(
            gathered.requirements,
            python_minor=gathered.minor,
            platform=gathered.platform,
            glibc=glibc(resolved_base(workplace, gathered, archive_of(context, gathered.project))),
            indexes=gathered.indexes,
            runner=workplace.runner,
            home=workplace.home,
            progress=workplace.progress,
            python=gathered.environment.python,
            has_gpu=True,
        )
    except MlshipError as error:
        where = gathered.project.at("resources.gpu")
        return (Finding(error.what, where, error.fix, "error" if error.exit is Exit.BUILD_FAILED else "warning", error.code),)
    return tuple(finding for finding in resolution.findings if finding not in gathered.findings)
