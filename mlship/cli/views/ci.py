"""ci: which file was written, and what has to be set in the CI system before its first run."""

from __future__ import annotations

from mlship.cli.views.text import lines
from mlship.flows.ci import Made
from mlship.flows.pipelines.comment import Commented
from mlship.flows.pipelines.pipeline import Stage


def written_text(made: Made) -> str:
    stages = made.pipeline.stages
    secrets = sorted({name for stage in stages for name in (*stage.files, *stage.variables)})
    return lines(
        f"Wrote {made.file}" if made.written else f"{made.file} is as it should be",
        f"  stages     {', '.join(stage.title for stage in stages)}",
        f"  secrets    {', '.join(secrets)}" if secrets else "",
        *(f"  login      {stage.title}: keyless, {stage.cloud}" for stage in stages if stage.cloud),
        _own_runners(stages),
        "" if made.pipeline.is_locked else "  missing    mlship.lock: mlship lock, and commit it",
        ""
        if made.pipeline.has_environments
        else "  one stage  write environments: into mlship.yaml for staging and production",
        "Next: commit it; what to set in the CI system stands in docs/ci.md",
    )


def _own_runners(stages: tuple[Stage, ...]) -> str:
    own = [stage.title for stage in stages if stage.on_own_runner]
    return f"  runner     {', '.join(own)}: one of your own, on the machine that serves" if own else ""


def comment_text(put: Commented) -> str:
    return (
        f"The report is {'a new comment' if put.created else 'in place of the one before'} on the pull request ({put.system})"
    )
