"""What `init` writes for a model file: framework, own code and the names to trust."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mlship.errors import Finding
from mlship.frameworks.code import find_own, has_module
from mlship.frameworks.detect import detect
from mlship.frameworks.sklearn import read_sklearn
from mlship.server import names


@dataclass(frozen=True)
class Proposal:
    """code, trust: as they go into mlship.yaml. findings: what stands between the file and serving it, once these are written."""

    framework: str
    format: str
    code: tuple[str, ...] = ()
    trust: tuple[str, ...] = ()
    loader: str = ""
    findings: tuple[Finding, ...] = ()


def propose(path: Path, folder: Path) -> Proposal:
    """Reads the file, loads nothing.

    folder: the project's. A name is only proposed for trust when its module is a file of that folder. Raises MlshipError when
    the file is no model that mlship serves.
    """
    detected = detect(path)
    first = read_sklearn(path, detected.format, (), path.name)
    own = [problem.name for problem in first.problems if problem.kind == "unknown-name" and has_module(folder, problem.name[0])]
    trust = tuple(sorted(names.dotted(name) for name in own))
    settled = read_sklearn(path, detected.format, trust, path.name) if trust else first
    return Proposal(
        framework=detected.framework,
        format=settled.format,
        code=find_own(folder, (module for module, _ in own)),
        trust=trust,
        findings=settled.findings,
    )
