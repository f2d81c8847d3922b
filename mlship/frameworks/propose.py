"""What `init` writes for a model file: framework, own code and the names to trust."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlship.errors import Finding, MlshipError
from mlship.frameworks.base import Asked
from mlship.frameworks.code import find_own, has_module, near_module
from mlship.frameworks.detect import other_framework
from mlship.frameworks.digest import FileDigests
from mlship.frameworks.kinds import read_model
from mlship.frameworks.loaded_by import framework_of_loader
from mlship.frameworks.packed import inner, unpacker, vouched
from mlship.memo import FORGETFUL, Memo
from mlship.server import names
from mlship.server.pickle_scan import scan


@dataclass(frozen=True)
class Proposal:
    """code, trust: as they go into mlship.yaml. findings: what stands between the file and serving it, once these are written.

    rows: as Read's.
    """

    framework: str
    format: str
    code: tuple[str, ...] = ()
    trust: tuple[str, ...] = ()
    loader: str = ""
    findings: tuple[Finding, ...] = ()
    rows: tuple[Any, ...] = ()


def propose(path: Path, folder: Path, trusted: tuple[str, ...] = (), memo: Memo = FORGETFUL, framework: str = "") -> Proposal:
    """Reads the file, loads nothing.

    framework: what the user says that it is, "" for what it says itself. folder: the project's. A name is only proposed for trust
    when its module is a file of that folder, or came with the model; those of installed packages have to be `trusted` by name.
    Raises MlshipError when the file is no model that mlship serves.
    """
    detected, packed = inner(path, path.name, framework, unpacker(memo, FileDigests(memo, str(path))))
    if framework and framework != detected.framework:
        raise other_framework(path, framework, detected, "--framework")
    asked = Asked(packed.path, detected.format, path.name, scan, root=folder, beside=packed.beside)
    first = read_model(detected.framework, asked)
    unknown = [problem.name for problem in first.problems if problem.kind == "unknown-name"]
    came_along = [name for name in unknown if packed.code is not None and has_module(packed.code, name[0])]
    own = [name for name in unknown if name not in came_along and has_module(folder, name[0])]
    trust = tuple(sorted({*trusted, *(names.dotted(name) for name in (*own, *came_along))}))
    settled = read_model(detected.framework, replace(asked, trust=trust)) if trust else first
    return Proposal(
        framework=detected.framework,
        format=settled.format,
        code=find_own(folder, (module for module, _ in own)),
        trust=trust,
        findings=vouched(settled.findings, packed),
        rows=() if packed.sample else settled.rows,
    )


def propose_own_class(path: Path, folder: Path, loader: str) -> Proposal:
    """For framework python, and weights of torch: the class's module, and what it imports of the folder, become `model.code`.

    path: the file or folder that the class loads. loader: `module:Class`; a module that the folder knows nothing of has to be
    installed in the training environment. Starts nothing. Raises MlshipError.
    """
    if not path.exists():
        raise MlshipError(
            f"there is no {path.name} in {path.parent}", "--model", "train and save the model first", code="missing-model"
        )
    module = loader.partition(":")[0]
    code = find_own(folder, (module,))
    near = "" if code else near_module(folder, module.partition(".")[0])
    if near or (code and not has_module(folder, module)):
        raise MlshipError(
            f"there is no module {module} in {folder.name if near else code[0]}",
            "--loader",
            f"did you mean {near}?" if near else "name the module and the class in it",
            code="missing-code",
        )
    return Proposal(framework=framework_of_loader(path), format="none", code=code, loader=loader)
