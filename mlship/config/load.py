"""mlship.yaml -> Project: every finding at once, and nothing from the file reaches anything unchecked."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import get_args, get_type_hints

from mlship.config import not_yet, rules
from mlship.config.environments import environments_of, report_unknown, variants
from mlship.config.expand import expanded, places
from mlship.config.facts import Facts
from mlship.config.nodes import List, Map, Node, Place, Scalar, below
from mlship.config.project import Project
from mlship.config.read import compose, read_text
from mlship.config.report import Report
from mlship.config.schema import AwsTarget, AzureTarget, Document, GcpTarget, Model, TargetName
from mlship.config.validate import DOCUMENT, Validator, document
from mlship.config.words import clipped, nearest, shown_path
from mlship.errors import MlshipError

FILE_NAME = "mlship.yaml"
MONITORING = "monitoring"  # what `render` writes instead of a target's documents


def find_file(folder: Path) -> Path:
    """The mlship.yaml of the folder or of its nearest parent that has one. Raises MlshipError when there is none.

    A parent's file counts only when it belongs to this user, to root or to the owner of the folder: anybody may write
    a mlship.yaml into /tmp (CVE-2022-24765 was the same in git).
    """
    start = folder.absolute()
    for candidate in (start, *start.parents):
        file = candidate / FILE_NAME
        if _is_there(file):
            if candidate != start:
                _refuse_foreign(file, start)
            return file
    fix = f"mv mlship.yml {FILE_NAME}" if _is_there(start / "mlship.yml") else "mlship init --model FILE"
    raise MlshipError(f"there is no {FILE_NAME} in this folder or above it", shown_path(start), fix, code="no-file")


def _is_there(file: Path) -> bool:
    """False also where a folder may not be searched: what cannot be read was not meant."""
    try:
        return file.exists()
    except OSError:
        return False


def _refuse_foreign(file: Path, start: Path) -> None:
    owner = file.stat().st_uid
    if owner not in (0, os.getuid(), start.stat().st_uid):
        raise MlshipError(
            f"{FILE_NAME} was found in a parent folder, and belongs to another user (uid {owner})",
            shown_path(file),
            f"if you trust it: -f {shown_path(file)}",
            code="foreign-file",
        )


UNSAID = "unsaid"  # the name of a project, and its model, where an estimate's file leaves them out


def load_project(
    file: Path, environment: str = "", target: str = "", text: str | None = None, *, needs_model: bool = True
) -> Project:
    """The project as it is in one environment, or in none.

    target: replaces the file's own. text: what stands in the file, where it is not read from the disk. needs_model: without it
    the file may leave out name and model. Raises FindingsError with all that is wrong in any environment, MlshipError when the
    file cannot be read or the target is not known.
    """
    if target:
        refuse_target(target)
    report = Report(file.name)
    root = compose(read_text(file) if text is None else text, report)
    if root is None:
        raise report.error()
    whole = expanded(root if needs_model else _with_model(root, report), DOCUMENT)
    assert isinstance(whole, Map)
    base = replace(whole, entries={name: node for name, node in whole.entries.items() if name != "environments"})
    environments = environments_of(whole, report)
    if environment and environment not in environments:
        report_unknown(environment, whole, report)
    Validator(report, is_whole=False).fields(base, DOCUMENT)
    home = file.absolute().parent
    resolve = cache(lambda path: (home / path).resolve())
    projects = {name: _project(node, file, name, resolve, report) for name, node in variants(base, environments, environment)}
    if len(report):
        raise report.error()
    project = projects[environment]
    return replace(project, target=target or project.target)


def _with_model(root: Node, report: Report) -> Node:
    """The document with a name and a model where it has none."""
    unsaid = compose(f"name: {UNSAID}\nmodel: {UNSAID}\n", report)
    if not isinstance(root, Map) or not isinstance(unsaid, Map):
        return root
    lacking = {name: node for name, node in unsaid.entries.items() if name not in root.entries}
    if "models" in root.entries:
        lacking.pop("model", None)
    return replace(root, entries={**lacking, **root.entries})


def refuse_target(target: str) -> None:
    known = get_args(TargetName)
    if target == MONITORING:
        what = f"{MONITORING} is no place where a model runs: only `render` takes it"
        raise MlshipError(what, "--target", f"mlship render --target {MONITORING}", code="unknown-target")
    if owner := _owner_of_service(target):
        fix = f"--target {owner}, and targets.{owner}.service: {target} in mlship.yaml"
        raise MlshipError(f"{clipped(target)} is a service of the target {owner}", "--target", fix, code="unknown-target")
    if target not in known:
        near = nearest(target, known)
        fix = f"did you mean {near}?" if near else f"known: {', '.join(known)}"
        raise MlshipError(f"there is no target {clipped(target)}", "--target", fix, code="unknown-target")


def _owner_of_service(name: str) -> str:
    """The cloud whose service alone is called so; empty for any other word."""
    sections = {"aws": AwsTarget, "gcp": GcpTarget, "azure": AzureTarget}
    owners = [target for target, section in sections.items() if name in get_args(get_type_hints(section)["service"])]
    return owners[0] if len(owners) == 1 else ""


def _project(root: Map, file: Path, environment: str, resolve: Callable[[str], Path], report: Report) -> Project:
    """One variant, judged by the schema, by the rules across keys, and by what is built already."""
    said = document(root, report)
    facts = Facts(said, root, resolve)
    for problem in chain(rules.problems(facts), not_yet.problems(facts)):
        if report.is_full:
            break
        place, key = _spot(root, problem.path)
        report.add(place, key, problem.what, problem.fix, problem.code)
    return Project(
        file=file.absolute(),
        name=said.name,
        environment=environment,
        target=said.target,
        models=_models(said),
        labels=said.labels,
        serve=said.serve,
        env=said.env,
        secrets=said.secrets,
        build=said.build,
        resources=said.resources,
        scale=said.scale,
        slo=said.slo,
        cost=said.cost,
        rollout=said.rollout,
        monitoring=said.monitoring,
        public=said.public,
        targets=said.targets,
        positions=places(root),
    )


def _models(said: Document) -> tuple[tuple[str, Model], ...]:
    named = [(said.name, said.model), *said.models.items()]
    return tuple((name, model) for name, model in named if isinstance(model, Model))


def _spot(root: Map, path: tuple[str, ...]) -> tuple[Place, str]:
    """Where a path of keys stands, and how it is called there; for a key left out, its nearest parent's place.

    Items of lists are found by their text, the last one where it stands twice: items that are wrong are not in the values.
    """
    node: Node = root
    key = ""
    for name in path:
        if isinstance(node, Map) and name in node.entries:
            node = node.entries[name]
            key = node.key
        elif isinstance(node, List) and (
            same := [item for item in node.items if isinstance(item, Scalar) and item.text == name]
        ):
            node = same[-1]
            key = node.key
        else:
            key = below(key, name)
    return node.key_place, key
