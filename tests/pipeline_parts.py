"""Projects whose pipelines are looked at, and what stands in them: the shell of every step."""

from __future__ import annotations

import functools
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from mlship.cli.table import COMMANDS
from mlship.config.load import load_project
from mlship.flows.pipelines.pipeline import Pipeline, Source, in_order, pipeline
from mlship.flows.pipelines.systems import SYSTEMS
from mlship.templating import render

PROJECTS = {
    "bare": "target: docker\n",
    "local": "target: local\nenvironments: {staging: {}, prod: {}}\n",
    "ssh": (
        "target: docker\nsecrets: {CHURN_KEYS: {docker: env}}\nenvironments:\n"
        '  prod: {targets: {docker: {hosts: ["ssh://deploy@b"]}}}\n  staging: {targets: {docker: {hosts: ["ssh://deploy@a"]}}}\n'
    ),
    "clouds": (
        "environments:\n  staging: {target: aws, targets: {aws: {region: eu-west-1}}}\n"
        "  pre: {target: gcp, targets: {gcp: {region: europe-west1}}}\n"
        "  prod: {target: azure, targets: {azure: {region: westeurope}}}\n"
    ),
    "azure": "target: azure\ntargets: {azure: {region: westeurope}}\n",
}
CASES = [(name, system) for name in PROJECTS for system in SYSTEMS if (name, system) != ("clouds", "azure")]


@functools.cache
def pipeline_of(name: str) -> Pipeline:
    """Of one of the projects."""
    file, text = Path("mlship.yaml"), f"name: churn\nmodel: {{uri: model.joblib, sample: sample.json}}\n{PROJECTS[name]}"
    stages = (yaml.safe_load(PROJECTS[name]) or {}).get("environments", {"": None})
    projects = tuple(load_project(file, stage, text=text) for stage in in_order(tuple(stages)))
    return pipeline(Source("", projects, "requirements.txt"), "0.1.0", tuple(COMMANDS))


@functools.cache
def rendered(name: str, system: str) -> str:
    return render(SYSTEMS[system].template, pipeline_of(name)).decode()


@functools.cache
def scripts(text: str, system: str) -> list[str]:
    """The shell of every step, in order."""
    if system == "jenkins":
        found = re.findall(r"sh '''\n(.*?)'''", text, re.DOTALL)
        return [textwrap.dedent(script).replace("\\\\", "\\") for script in found]
    return list(_shell(yaml.load(text, yaml.CSafeLoader)))


def _shell(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("run", "bash", "inlineScript") and isinstance(value, str):
                yield value
            elif key in ("script", "after_script", "before_script"):
                yield from value
            else:
                yield from _shell(value)
    elif isinstance(node, list):
        for item in node:
            yield from _shell(item)
