"""The training environment that the last build was told by --python: what follows a build need not be told it again."""

from __future__ import annotations

from mlship.config.project import Project
from mlship.errors import MlshipError
from mlship.flows.context import Context
from mlship.image.packages.find_environment import interpreter_of
from mlship.memo import Memo

_KIND = "told-python"


def remember_python(context: Context, project: Project, python: str) -> None:
    """python: as --python said it; empty where the build found its environment itself, which forgets an earlier word."""
    kept = Memo(context.home.memo)
    if python or kept.recall(_KIND, str(project.file), None):
        kept.keep(_KIND, str(project.file), None, python)


def told_python(context: Context, project: Project) -> str:
    """As --python would say it; empty where nothing was told, or what was told is not there any more."""
    said = str(Memo(context.home.memo).recall(_KIND, str(project.file), None) or "")
    if not said:
        return ""
    try:
        interpreter_of(said, project.root.absolute(), context.environ)
    except MlshipError:
        return ""
    return said
