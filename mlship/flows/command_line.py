"""Command lines that can be pasted. Pure."""

from __future__ import annotations

import shlex


def command_for(verb: str, project: str, target: str, environment: str, region: str = "") -> str:
    """One that works from any folder: `mlship rollback churn --target docker --env prod`."""
    words = ["mlship", *verb.split(), project, "--target", target]
    words += ["--env", environment] if environment else []
    return shlex.join(words + (["--region", region] if region else []))


def deploy_command(target: str, environment: str) -> str:
    """`deploy` needs the project's folder, so it names none."""
    return shlex.join(["mlship", "deploy", "--target", target, *(["--env", environment] if environment else [])])


def list_command(target: str, region: str = "") -> str:
    """Of every project there; a cloud is asked by name."""
    return shlex.join(["mlship", "list", "--target", target, *(["--region", region] if region else [])])
