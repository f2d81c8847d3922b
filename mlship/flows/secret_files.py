"""Secrets in what a build would put into an image, or write down beside it: refused before anything is made."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlship.config.project import Project
from mlship.errors import Finding
from mlship.frameworks.base import CodeFile, ModelFile, ModelSpec
from mlship.image.secrets import LARGEST, RULES, Leak, leaks, text_leaks
from mlship.memo import FORGETFUL, Memo


@dataclass(frozen=True)
class Found:
    """path: relative to the project's folder, as `build.allow_secrets` names it."""

    path: str
    leak: Leak

    def __str__(self) -> str:
        return f"{self.path}:{self.leak.line}" if self.leak.line else self.path


def secret_findings(project: Project, specs: Iterable[ModelSpec], memo: Memo = FORGETFUL) -> tuple[Finding, ...]:
    """Errors for secrets in models, code and settings; notes for allowed ones; a warning for those that stay outside the image.

    Reads files that have changed since the memo.
    """
    entering: list[ModelFile | CodeFile] = [file for spec in specs for of_model in (spec.files, spec.code) for file in of_model]
    files = {_shown(file.path, project.root): file for file in entering}
    found = [*_in_files(project, files, memo), *_in_settings(project)]
    allowed = project.build.allow_secrets
    return (
        *(_allowed(one, allowed[one.path]) if one.path in allowed else _refused(project, one) for one in found),
        *_useless(project, {one.path for one in found}),
        *_in_requirements(project),
    )


def _in_files(project: Project, files: Mapping[str, ModelFile | CodeFile], memo: Memo) -> tuple[Found, ...]:
    facts = [RULES, sorted([path, file.sha256] for path, file in files.items() if file.size <= LARGEST)]
    known = memo.recall("secrets", str(project.file), facts)
    if known is None:
        known = [[path, leak.line, leak.what] for path, file in files.items() for leak in leaks(file.path, path, file.size)]
        memo.keep("secrets", str(project.file), facts, known)
    return tuple(Found(path, Leak(line, what)) for path, line, what in known)


def _in_settings(project: Project) -> Iterator[Found]:
    """The server's environment stands in records and in the container's settings, for everybody who may read those."""
    for name, value in project.env.items():
        for leak in text_leaks(str(value)):
            yield Found(f"env.{name}", Leak(0, leak.what))


def _in_requirements(project: Project) -> Iterator[Finding]:
    """Its passwords are used and are in no image and no lock; a file in version control is not the place for them."""
    path = project.root / project.build.requirements if project.build.requirements else None
    if path is None or path.suffix == ".lock" or not path.is_file() or path.stat().st_size > LARGEST:
        return
    for leak in text_leaks(path.read_text(errors="replace")):
        yield Finding(
            f"{project.build.requirements}:{leak.line} holds {leak.what}",
            project.at("build.requirements"),
            "it stays out of the image; keep it in .netrc, or in the settings of pip or uv",
            "warning",
            "secret-in-requirements",
        )


def _refused(project: Project, found: Found) -> Finding:
    if found.path.startswith("env."):
        name = found.path.removeprefix("env.")
        fix = f"write it under secrets: {{{name}: {{docker: env}}}}, and give it to the command as a variable"
        return Finding(f"{found.path} holds {found.leak.what}", project.at(found.path), fix, code="secret-in-settings")
    fix = "take it out of the project and revoke it"
    allow = f'or, where everybody may know it, write allow_secrets: {{"{found.path}": "WHY"}} under build'
    return Finding(f"{found.leak.what} would go into the image", str(found), f"{fix}; {allow}", code="secret")


def _allowed(found: Found, why: str) -> Finding:
    return Finding(f"{found} holds {found.leak.what}, allowed: {why}", "", "", "note", "allowed-secret")


def _useless(project: Project, paths: set[str]) -> Iterator[Finding]:
    for path in project.build.allow_secrets:
        if path not in paths:
            where = project.at(f"build.allow_secrets.{path}")
            yield Finding(f"{path} allows nothing: no secret was found there", where, "delete it", "warning", "nothing-allowed")


def _shown(path: Path, root: Path) -> str:
    return Path(os.path.relpath(path, root)).as_posix()
