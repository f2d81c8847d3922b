"""Project and model files -> ModelSpec: everything that the files tell, and everything that is wrong, at once."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from mlship.config import schema
from mlship.config.project import Project
from mlship.errors import Finding, MlshipError
from mlship.frameworks.base import Asked, CodeFile, ModelSpec, Origin, Packed, Read
from mlship.frameworks.code import clashes, code_files, find_own, has_module, imported_modules, module_of, own_modules
from mlship.frameworks.detect import Detected, other_framework
from mlship.frameworks.digest import FileDigests, model_digest, model_files
from mlship.frameworks.entering import files_of, is_broken, leads_out, link_leads_out
from mlship.frameworks.kinds import KINDS, read_model
from mlship.frameworks.loaded_by import framework_of_loader
from mlship.frameworks.packed import inner, unpacker, vouched
from mlship.frameworks.sample import read_sample
from mlship.frameworks.scan_memo import remembered_scan
from mlship.memo import FORGETFUL, Memo
from mlship.server.manifest import Tolerance


def model_spec(
    project: Project,
    name: str,
    model: schema.Model,
    digests: FileDigests | None = None,
    memo: Memo = FORGETFUL,
    own: Collection[Path] = (),
    origin: Origin | None = None,
) -> tuple[ModelSpec, tuple[Finding, ...]]:
    """Reads the model's files, own code and sample; loads nothing.

    digests, memo: what is known of them from before. own: folders of mlship's, with links resolved; nothing in them is read.
    origin: of a model that was fetched.
    Findings are all that is wrong with them. Raises MlshipError when there is no file that could be a model.
    """
    prefix = f"models.{name}" if f"models.{name}" in project.positions else "model"
    where = project.at(f"{prefix}.uri")
    path = origin.path if origin else project.root / model.uri
    framework = model.framework or (framework_of_loader(path) if model.loader else None)
    known = digests or FileDigests()
    read, framework, packed = _read(path, framework, model, where, known, memo, project.root)
    path = packed.path
    elsewhere = own if _holds_code(path, own) else (*own, path)
    code, code_findings = code_files(project.root, model.code, project.at(f"{prefix}.code"), elsewhere, known)
    hooks, hook_findings = _hooks(project, elsewhere, known)
    code = (*code, *_packed_code(packed, model, elsewhere, known), *hooks)
    twice = tuple(clashes(code, project.root, project.at(f"{prefix}.code")))
    code = tuple(sorted({file.name: file for file in code}.values(), key=lambda file: file.name))
    sample, sample_findings = _sample(project, model, packed, project.at(f"{prefix}.sample"))
    modules = own_modules(code)
    unlisted = _unlisted(project.root, read, model, modules)
    folders = (path, *packed.beside) if path.is_dir() else ()
    for folder in folders:
        refuse_links(project.root, folder, own, where)
    named = {file.name: file for folder in reversed(folders or (path,)) for file in model_files(folder, known, own)}
    files = tuple(named[name] for name in sorted(named) if name not in read.unused)
    if not files:
        raise MlshipError(
            f"{path.name} holds no files", where, "train and save the model, or correct the path", code="not-a-model"
        )
    spec = ModelSpec(
        name=name,
        uri=model.uri,
        files=files,
        framework=framework,
        format=read.format,
        sha256=model_digest(files),
        names=read.names,
        versions={**packed.versions, **(read.versions or {})},
        modules=_modules(read, code, model, modules | {module_of(path) for path in unlisted}),
        code=code,
        trust=tuple(sorted(set(model.trust))),
        loader=model.loader or "",
        method=project.serve.method or packed.method,
        sample=sample,
        tolerance=_tolerance(model, framework),
        outputs=project.serve.outputs,
        passthrough=project.serve.passthrough,
        extra=project.serve.extra,
        hooks=hooks[-1].name if hooks else "",
        pinned=packed.pinned,
        declared=packed.declared,
        origin=origin,
    )
    lacking = _lacking_code(unlisted, project.at(f"{prefix}.code"))
    return spec, (*vouched(read.findings, packed), *code_findings, *hook_findings, *twice, *lacking, *sample_findings)


def _hooks(project: Project, own: Collection[Path], digests: FileDigests) -> tuple[tuple[CodeFile, ...], tuple[Finding, ...]]:
    """The file of serve.hooks, last, after the `__init__.py` of the packages that it is in."""
    if not project.serve.hooks:
        return (), ()
    found, findings = code_files(project.root, (project.serve.hooks,), project.at("serve.hooks"), own, digests)
    return tuple(sorted(found, key=lambda file: file.path.name != "__init__.py")), findings


def _read(
    path: Path, framework: str | None, model: schema.Model, where: str, digests: FileDigests, memo: Memo, root: Path
) -> tuple[Read, str, Packed]:
    if framework == "python":
        detected, packed = Detected(framework, "none"), Packed(path)
    else:
        detected, packed = inner(path, where, framework or "", unpacker(memo, digests))
        if framework and packed.path == path and framework != detected.framework:
            raise other_framework(path, framework, detected, where)
    scanned = remembered_scan(digests, memo)
    asked = Asked(packed.path, detected.format, where, scanned, model.trust, model.loader or "", root, packed.beside)
    return read_model(detected.framework, asked), detected.framework, packed


def _packed_code(
    packed: Packed, model: schema.Model, leave_out: Collection[Path], digests: FileDigests
) -> tuple[CodeFile, ...]:
    """Of the code that came with the model, what the user trusts, and what that imports: nothing else of it can run."""
    if packed.code is None:
        return ()
    loader = (model.loader or "").partition(":")[0]
    listed = find_own(packed.code, (*(name.rpartition(".")[0] for name in model.trust), *([loader] if loader else [])))
    return code_files(packed.code, listed, "", leave_out, digests)[0]


def _holds_code(path: Path, own: Collection[Path]) -> bool:
    """A model's folder may be a package too; files of any other one are not taken a second time as code."""
    return path.is_dir() and any(file.suffix == ".py" for file in files_of(path, own))


def refuse_links(root: Path, folder: Path, own: Collection[Path], where: str) -> None:
    """A folder that came with the project brings nothing into the image that lies elsewhere; a link to no file is a mistake."""
    is_of_project = not leads_out(folder, root)
    for file in files_of(folder, own):
        name = file.relative_to(folder).as_posix()
        if is_of_project and link_leads_out(file, root):
            raise MlshipError(
                f"{name} in {folder.name} leads out of the project's folder",
                where,
                "copy what it points to into the project",
                code="leads-out",
            )
        if is_broken(file):
            raise MlshipError(
                f"{name} in {folder.name} is a link to what is no file",
                where,
                "copy what it points to, or remove it",
                code="no-file",
            )


def _modules(read: Read, code: tuple[CodeFile, ...], model: schema.Model, own: set[str]) -> tuple[str, ...]:
    """What has to be installed: of the file's names, of the imports of own code, and of a loader that is somebody else's."""
    loader = {(model.loader or "").partition(":")[0].partition(".")[0]} - {""}
    needed = set(read.modules) | imported_modules(file.path for file in code) | loader
    return tuple(sorted(needed - own - {"mlship"}))


def _unlisted(root: Path, read: Read, model: schema.Model, own: set[str]) -> tuple[str, ...]:
    """What `model.code` lacks: modules of the project's folder that the file, the trusted names or the loader refer to."""
    in_file = {p.name[0] for p in read.problems if p.kind == "unknown-name" and has_module(root, p.name[0])}
    wanted = {name.partition(".")[0] for name in (*in_file, *model.trust, (model.loader or "").partition(":")[0]) if name}
    return find_own(root, wanted - own)


def _lacking_code(unlisted: tuple[str, ...], where: str) -> tuple[Finding, ...]:
    if not unlisted:
        return ()
    listed = ", ".join(unlisted)
    return (
        Finding(
            f"the model needs {listed}, which model.code does not list", where, f"write code: [{listed}]", code="missing-code"
        ),
    )


def _sample(project: Project, model: schema.Model, packed: Packed, where: str) -> tuple[tuple[Any, ...], tuple[Finding, ...]]:
    if not model.sample:
        return packed.sample, packed.findings
    rows, findings = read_sample(project.root / model.sample, where)
    return rows, (*(finding for finding in packed.findings if finding.code != "no-example"), *findings)


def _tolerance(model: schema.Model, framework: str) -> Tolerance:
    if model.tolerance is None:
        return KINDS[framework].tolerance
    return Tolerance(rtol=model.tolerance.rtol, atol=model.tolerance.atol)
