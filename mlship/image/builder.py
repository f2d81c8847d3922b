"""From plans to layers and an image, without any daemon. A layer whose inputs are known is not made again."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mlship.disk import disk_errors, locked, used, write_memo
from mlship.errors import Exit, MlshipError
from mlship.image.bytecode import Compiler, compile_files, compile_imported
from mlship.image.foreign import foreign_compiler
from mlship.image.plan import BUILDER, BasePlan, ImageConfig, LayerFile, LayerPlan
from mlship.image.system.apt import LateArchive
from mlship.image.system.base import base_entries, base_tree, runs_here
from mlship.image.workplace import Workplace
from mlship.image.workplace import scratch as scratch
from mlship.oci.compressible import is_worth_compressing
from mlship.oci.image import CONTENT_LABEL, Descriptor, Image, Layer
from mlship.oci.layer import Compression, Entry, write_layer
from mlship.oci.unpacked import keep_unpacked


def base_layer(
    workplace: Workplace,
    plan: BasePlan,
    archive: LateArchive = lambda: None,
    *,
    left_out: str = "",
) -> Layer:
    """The operating system and the interpreter. archive: where packages are looked for besides the URLs of the plan.

    Where packages are gone, the same layer is taken from an earlier image, if there is one (lost_base.py).
    left_out: a regular expression; paths that begin so, without a leading slash, are not in the layer.
    """
    facts = {
        "suite": plan.suite,
        "platform": plan.platform,
        "python": plan.python,
        "requested": plan.requested,
        "packages": [(package.name, package.version, package.sha256) for package in plan.packages],
        "compiled": runs_here(plan.platform) or foreign_compiler(workplace, plan) is not None,
        **({"left_out": left_out} if left_out else {}),
    }

    def assembled() -> Layer:
        with base_tree(workplace, plan, archive()) as tree:
            kept = (entry for entry in base_entries(tree) if not left_out or not re.match(left_out, entry.path))
            return written_and_kept(workplace, tuple(kept), "base", plan.suite)

    def make() -> Layer:
        try:
            return assembled()
        except MlshipError as error:
            from mlship.image.lost_base import LOST, recovered  # here and not above: it brings the client of registries

            found = recovered(workplace, plan) if error.code in LOST else None
            if found is None:
                raise
            return found

    return cached(workplace, key("base", facts, workplace.compression), make)


@dataclass(frozen=True)
class Bytecode:
    """What of a folder is compiled: whatever importing these modules loads from it. compiler: the base's interpreter.

    like: for what cannot be imported here, the sources that importing loads where it can be, relative to the folder.
    bare: names of folders whose files are compiled without docstrings.
    """

    compiler: Compiler
    modules: tuple[str, ...]
    like: tuple[str, ...] | None = None
    bare: tuple[str, ...] = ()


def compile_modules(workplace: Workplace, bytecode: Bytecode, folder: Path, target: str, into: Path) -> None:
    """Compiles what the modules load from the folder; says which could not be imported."""
    root, python = bytecode.compiler.root(workplace), bytecode.compiler.python
    if bytecode.like is not None:
        sources = [(folder / name, f"{target}/{name}") for name in bytecode.like if (folder / name).is_file()]
        compile_files(workplace, root, python, sources, into, bytecode.bare)
        return
    failed = compile_imported(workplace, root, python, folder, target, bytecode.modules, into, bytecode.bare)
    for module, reason in failed.items():
        workplace.progress.step("packages", f"{module} cannot be imported in the image: {reason}")


def bytecode_facts(bytecode: Bytecode | None) -> Any:
    """What of it goes into a layer's key."""
    like = [bytecode.like] if bytecode and bytecode.like is not None else []
    return bytecode and [bytecode.compiler.key, bytecode.compiler.python, bytecode.modules, *like, *bytecode.bare]


def compiler(plan: BasePlan, base: Layer) -> Compiler | None:
    """The base's interpreter, where this machine can run it; else layers go without compiled files."""
    return Compiler(base, plan.python) if runs_here(plan.platform) else None


def files_layer(workplace: Workplace, plan: LayerPlan) -> Layer:
    """The layer of single files that the plan names: models, code, configuration. Large files are streamed.

    A model's that compressing saves next to nothing of stays raw.
    """

    def make() -> Layer:
        raw = plan.role == "model" and not is_worth_compressing([file.source for file in plan.files if file.source])
        return written(workplace, map(_entry, plan.files), plan.role, plan.name, raw=raw)

    return cached(workplace, _files_key(workplace, plan), make)


def is_made(workplace: Workplace, plan: LayerPlan) -> bool:
    """Whether `files_layer` has nothing to write."""
    return known(workplace, _files_key(workplace, plan)) is not None


def _files_key(workplace: Workplace, plan: LayerPlan) -> str:
    return key(plan.role, {"name": plan.name, "key": plan.key}, workplace.compression)


def write(
    workplace: Workplace,
    layers: Sequence[Layer],
    config: ImageConfig,
    platform: str,
    annotations: Mapping[str, str] | None = None,
) -> Image:
    """Writes the image of these layers, the base first, into the home's layout; the newest of its project from then on.

    config.labels must hold mlship.project. annotations: of the manifest; they are no part of the content id.
    """
    with disk_errors(workplace.home.root):
        return workplace.layout.write_image(layers, oci_config(config), platform, annotations)


def oci_config(config: ImageConfig) -> dict[str, Any]:
    """The `config` section as OCI and Docker read it."""
    return {
        "User": config.user,
        "ExposedPorts": {f"{config.port}/tcp": {}},
        "Env": [f"{name}={value}" for name, value in sorted(config.env.items())],
        "Entrypoint": list(config.entrypoint),
        "Cmd": list(config.cmd),
        "WorkingDir": config.working_dir,
        "Labels": {name: value for name, value in sorted(config.labels.items()) if name != CONTENT_LABEL},
        "StopSignal": config.stop_signal,
    }


def key(role: str, facts: Mapping[str, Any], compression: Compression) -> str:
    """Hex sha256 over a layer's inputs, the compression and the builder's own version."""
    text = json.dumps([BUILDER, role, compression, facts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def files_key(files: Iterable[tuple[str, str]]) -> str:
    """Hex sha256 over sorted (path, sha256) pairs: the `key` of a LayerPlan."""
    lines = sorted(f"{sha256}  {path}" for path, sha256 in files)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def known(workplace: Workplace, layer_key: str) -> Layer | None:
    """The layer of this key, when its blob is still in the layout."""
    try:
        text = _record(workplace, layer_key).read_text()
        fields = json.loads(text)
        layer = Layer(**{**fields, "blob": Descriptor(**fields["blob"])})
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None  # never made, or a record that is cut: it is made again
    if not workplace.layout.has(layer.blob):
        return None
    used(_record(workplace, layer_key))
    return layer


def cached(workplace: Workplace, layer_key: str, make: Callable[[], Layer]) -> Layer:
    """The layer of this key, made when it is not known; two builds that want the same one make it once."""
    layer = known(workplace, layer_key)
    if layer is not None:
        return layer
    with locked(_record(workplace, layer_key).with_suffix(".lock")):
        layer = known(workplace, layer_key)
        if layer is None:
            with disk_errors(workplace.home.root):
                layer = make()
            write_memo(_record(workplace, layer_key), json.dumps(asdict(layer), sort_keys=True).encode())
    return layer


def written(workplace: Workplace, entries: Iterable[Entry], role: str, name: str, *, raw: bool = False) -> Layer:
    """raw: not worth compressing."""
    packed: Compression = "none" if raw else workplace.compression
    return write_layer(workplace.layout, entries, role=role, name=name, compression=packed, progress=workplace.progress)


def written_and_kept(workplace: Workplace, entries: Sequence[Entry], role: str, name: str) -> Layer:
    """As `written`, of files that lie in the cache: they stay there as the unpacked layer, which the checks run from."""
    layer = written(workplace, entries, role, name)
    keep_unpacked(workplace.home, layer, entries)
    return layer


def _entry(file: LayerFile) -> Entry:
    if not file.target.startswith("/"):
        raise MlshipError(f"{file.target!r} is not an absolute path inside the image", exit=Exit.BUILD_FAILED)
    return Entry(
        file.target[1:],
        mode=0o755 if file.mode & 0o100 else 0o644,
        source=file.source,
        content=file.content,
        sha256=file.sha256,
    )


def _record(workplace: Workplace, layer_key: str) -> Path:
    return workplace.home.cache / "layers" / f"{layer_key}.json"
