"""Names that come from the command line, by the same patterns as those in the file: they end up in paths and labels."""

from __future__ import annotations

import re
from typing import Any

from mlship.config.schema import AwsRegion, AzureRegion, DottedName, EnvironmentName, GcpRegion, LoaderName, Name
from mlship.config.shapes import Text, shape_of
from mlship.config.words import clipped
from mlship.errors import MlshipError


def check_project_name(name: str, where: str = "") -> str:
    """The name, when it is one. Raises MlshipError."""
    return _checked(name, Name, where, "project-name")


def check_environment_name(name: str, where: str = "--env") -> str:
    """The name, when it is one. Raises MlshipError."""
    return _checked(name, EnvironmentName, where, "environment-name")


def check_loader_name(name: str, where: str = "--loader") -> str:
    """The name, when it is `module:Class`. Raises MlshipError."""
    return _checked(name, LoaderName, where, "loader-name")


def check_dotted_name(name: str, where: str = "--trust") -> str:
    """The name, when it is an exact one such as `package.module.Class`. Raises MlshipError."""
    return _checked(name, DottedName, where, "dotted-name")


def check_region(target: str, region: str, where: str = "--region") -> str:
    """The region, when its name is formed as those of the target's cloud are. Raises MlshipError."""
    kind = {"aws": AwsRegion, "gcp": GcpRegion, "azure": AzureRegion}.get(target)
    return _checked(region, kind, where, "region-name") if kind else region


def _checked(name: str, kind: Any, where: str, code: str) -> str:
    shape = shape_of(kind)
    assert isinstance(shape, Text)
    if not re.fullmatch(shape.pattern, name, re.ASCII):
        raise MlshipError(f"{clipped(name) or 'an empty text'} is not {shape.wanted}", where, code=code)
    return name
