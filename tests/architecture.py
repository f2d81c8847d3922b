"""The rules of docs/design.md, "Who may import whom", as functions from sources to broken rules. Reads syntax trees only."""

from __future__ import annotations

import ast
import gc
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "mlship"

BOTTOM = ("errors", "units", "progress", "home", "disk", "memo", "parallel", "archives", "masks")
LAYERS = {  # part of the package -> height; a part imports lower ones, and itself
    **dict.fromkeys(BOTTOM, 0),
    **dict.fromkeys(("runner", "config", "oci", "templating"), 1),
    **dict.fromkeys(("image", "targets", "releases", "cost", "frameworks", "sources", "bench"), 2),
    "flows": 3,
    "cli": 4,
    "__main__": 5,
}
SIBLINGS = {  # what may be imported from a part of the same height: values only
    ("units", "errors"), ("units", "masks"), ("home", "errors"), ("disk", "errors"), ("memo", "errors"), ("memo", "disk"),
    ("archives", "disk"), ("archives", "errors"), ("archives", "units"),
    ("oci", "runner"),
    ("targets", "releases"),
    ("image", "frameworks.base"), ("image", "frameworks.engine_choice"),
    ("frameworks", "image.environment"), ("sources", "frameworks.digest"),
    ("cost", "targets.base"), ("cost", "targets.priced"), ("cost", "bench"),
}  # fmt: skip
CLOSED = ("server", "keeper")
SERVER_PACKAGES = {"uvloop", "httptools", "orjson", "simdjson", "numpy", "prometheus_client", "jwt", "cryptography"}
MODEL_PACKAGES = {
    "sklearn",
    "pandas",
    "scipy",
    "joblib",
    "skops",
    "numpy",
    "xgboost",
    "lightgbm",
    "catboost",
    "onnxruntime",
    "onnx",
    "torch",
    "safetensors",
    "mlflow",
    "transformers",
    "tensorflow",
    "keras",
    "h5py",
}
MODEL_PLACES = (
    "server.runtimes",
    "server.input.container",
    "server.inspection.report",
    "server.pickle_load",
    "server.compiling.quantized",
)  # where the model's own packages are met
# standard library only; the CLI reads models and manifests with them
OPEN_SERVER_FILES = (
    *("manifest", "names", "names_boosted", "names_sklearn", "pickle_machine", "pickle_open", "pickle_scan", "skops_scan"),
    *("batch_records", "batch_wire"),  # how a file falls into parts, and the words with the processes that answer them
    *("skim", "boosted_header", "boosted_xgboost", "boosted_lightgbm", "boosted_catboost"),
    *("torch_scan", "keras_scan"),
    "drift_index",  # how far live rows are from model.reference: `mlship drift` adds up copies with it
)
OPEN_KEEPER_FILES = ("wire", "haproxy_config")  # pure: the words between the docker target and its keeper, and what it writes
# run as processes of their own, without the CLI
PROGRAMS = ("server", "keeper", "targets.local.holder", "targets.aws.lambda_service", "bench.load")
FORKS = ("targets.local.processes",)  # the child of a fork ends with os._exit when exec fails
HEAVY = {
    "azure", "boto3", "botocore", "docker", "google", "httpx", "mlflow", "jinja2", "joblib", "kubernetes", "numpy", "pandas", "pydantic",
    "requests", "rich", "scipy", "skops", "sklearn", "xgboost", "lightgbm", "catboost", "onnx", "onnxruntime", "torch", "safetensors",
}  # fmt: skip
COST = sorted(path.stem for path in (PACKAGE / "cost").glob("*.py"))  # all but the folder refresh
CALLERS = sorted(f"targets.{path.parent.name}.{path.stem}" for path in (PACKAGE / "targets").glob("*/caller_*.py"))
PURE = (
    "config",
    "targets.plan",
    "targets.gates",
    "targets.comparing",
    *("targets.caller", "targets.scraped"),
    *CALLERS,
    *("flows.gating.platform_rules", "flows.gating.platform_words"),
    *("targets.machines", "targets.refusals", "targets.sizes"),
    *(f"targets.{name}.resources" for name in ("local", "docker", "aws", "gcp", "azure", "kubernetes")),
    "image.plan",
    "releases.release",
    "releases.history",
    "flows.plan",
    *(f"cost.{name}" for name in COST),
)
IMPURE_MODULES = {"http", "random", "secrets", "socket", "subprocess", "time", "uuid"}
IMPURE_NAMES = {"os.environ", "os.getenv", "datetime.now", "datetime.utcnow", "date.today", "datetime.datetime.now"}


@dataclass(frozen=True)
class Import:
    """deferred: inside a function. typing: under `if TYPE_CHECKING`."""

    module: str
    line: int
    deferred: bool
    typing: bool


@dataclass(frozen=True)
class Reading:
    """What a module holds that the rules and the pages ask for. Nothing of its syntax tree is kept: all of them are a million
    objects, through which the collector would go again and again.

    imports: each with `deferred` and `typing`, as of Import. calls, attributes: what is called or read, and the line.
    texts: the holes of f-strings left open.
    """

    imports: list[tuple[ast.Import | ast.ImportFrom, bool, bool]]
    calls: list[tuple[str, int]]
    attributes: list[tuple[str, int]]
    texts: set[str]


def sources(package: Path = PACKAGE) -> dict[str, str]:
    """Dotted name -> source of every module of mlship."""
    names = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return names


@cache
def reading(text: str) -> Reading:
    """Read once for all who ask, the collector held: a tree has no cycles, and many nodes to go through."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return _read(ast.parse(text))
    finally:
        if collects:
            gc.enable()


def _read(tree: ast.Module) -> Reading:
    found = Reading([], [], [], set())
    waiting: list[tuple[ast.AST, bool, bool]] = [(tree, False, False)]
    while waiting:
        node, deferred, typing = waiting.pop()
        kind = node.__class__
        if kind is ast.Constant:
            if isinstance(node.value, str):
                found.texts.add(node.value)
        elif kind is ast.Import or kind is ast.ImportFrom:
            found.imports.append((node, deferred, typing))
        elif kind is not ast.Name:  # a name holds nothing
            if kind is ast.Attribute:
                found.attributes.append((_dotted(node), node.lineno))
            elif kind is ast.Call:
                found.calls.append((_dotted(node.func), node.lineno))
            elif kind is ast.JoinedStr:
                found.texts.add("".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values))
            deferred = deferred or kind is ast.FunctionDef or kind is ast.AsyncFunctionDef
            typing = typing or (kind is ast.If and "TYPE_CHECKING" in ast.unparse(node.test))
            for value in node.__dict__.values():
                if value.__class__ is list:
                    waiting += [(item, deferred, typing) for item in value if isinstance(item, ast.AST)]
                elif isinstance(value, ast.AST):
                    waiting.append((value, deferred, typing))
    return found


def broken_rules(modules: Mapping[str, str]) -> list[str]:
    """Every rule that is broken, as `module:line rule`."""
    readings = {name: reading(text) for name, text in modules.items()}
    packages = {name.rpartition(".")[0] for name in modules}
    imports = {name: list(_imports(read, name, modules, packages)) for name, read in readings.items()}
    return [
        *(broken for name, found in imports.items() for broken in _layers(name, found)),
        *(broken for name, found in imports.items() for broken in _closed(name, found)),
        *_open_server_files(imports),
        *(broken for name, found in imports.items() for broken in _heavy(name, found)),
        *(broken for name, found in imports.items() for broken in _doors(name, readings[name], found)),
        *(broken for name, found in imports.items() for broken in _purity(name, readings[name], found)),
        *(f"import cycle: {' -> '.join(cycle)}" for cycle in cycles(imports)),
    ]


def cycles(imports: Mapping[str, Iterable[Import]]) -> list[list[str]]:
    """Import cycles between modules of mlship, deferred imports counted: the strongly connected groups."""
    graph = {
        name: {found.module for found in those if found.module in imports and found.module != name}
        for name, those in imports.items()
    }
    reached = {name: _reachable(graph, name) for name in graph}
    groups = {frozenset(other for other in reached[name] if name in reached[other]) for name in graph if name in reached[name]}
    return [sorted(group) for group in sorted(groups, key=sorted)]


def _reachable(graph: Mapping[str, set[str]], start: str) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for found in graph[waiting.pop()] - seen:
            seen.add(found)
            waiting.append(found)
    return seen


def _imports(read: Reading, name: str, modules: Collection[str], packages: Collection[str]) -> Iterator[Import]:
    for node, deferred, typing in read.imports:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, deferred, typing) for alias in node.names)
        else:
            base = _absolute(node, name, packages)
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield Import(whole if whole in modules else base, node.lineno, deferred, typing)


def _absolute(node: ast.ImportFrom, name: str, packages: Collection[str]) -> str:
    if not node.level:
        return node.module or ""
    parts = name.split(".")
    kept = parts[: len(parts) - node.level + (1 if name in packages else 0)]
    return ".".join([*kept, *([node.module] if node.module else [])])


def _inner(module: str) -> str:
    """`mlship.targets.base` -> `targets.base`."""
    return module.partition(".")[2]


def _part(module: str) -> str:
    return _inner(module).split(".")[0]


def _is_below(inner: str, prefixes: Iterable[str]) -> bool:
    return any(inner == prefix or inner.startswith(f"{prefix}.") for prefix in prefixes)


def _layers(name: str, imports: Iterable[Import]) -> Iterator[str]:
    part = _part(name)
    if part in CLOSED or not part:
        return
    if part not in LAYERS:
        yield f"{name}: {part} has no place in the layers of docs/design.md"
        return
    for found in imports:
        other = _part(found.module)
        if not found.module.startswith("mlship.") or other in CLOSED:
            continue
        same_target = part != "targets" or _target_of(name) == "" or _target_of(found.module) in ("", _target_of(name))
        if other == part and not same_target:
            yield f"{name}:{found.line} a target imports another target: {found.module}"
        elif other != part and LAYERS.get(other, 99) >= LAYERS[part] and not _sibling(part, found.module):
            yield f"{name}:{found.line} {part} may not import {found.module}"


def _target_of(module: str) -> str:
    """The target that a module belongs to; empty for what they share."""
    parts = module.split(".")
    return parts[2] if len(parts) > 2 and parts[2] in ("local", "docker", "fake", "aws", "gcp", "azure", "kubernetes") else ""


def _sibling(part: str, module: str) -> bool:
    return any(part == importer and _is_below(_inner(module), [value]) for importer, value in SIBLINGS)


def _closed(name: str, imports: Iterable[Import]) -> Iterator[str]:
    part = _part(name)
    if part not in CLOSED:
        return
    meets_models = _is_below(_inner(name), MODEL_PLACES)
    allowed = {"keeper": set(), "server": SERVER_PACKAGES | (MODEL_PACKAGES if meets_models else set())}[part]
    for found in imports:
        if found.module.startswith("mlship."):
            stays = _part(found.module) == part
        else:
            stays = _is_standard(found.module) or found.module.split(".")[0] in allowed
        if not stays:
            yield f"{name}:{found.line} the closed {part} imports {found.module}"


def _is_standard(module: str) -> bool:
    return module.split(".")[0] in sys.stdlib_module_names


def _open_server_files(imports: Mapping[str, list[Import]]) -> Iterator[str]:
    """Outside the server, only its listed files are imported, and those stand on the standard library and each other."""
    for name, those in imports.items():
        if _part(name) in CLOSED and not _is_open(name):
            continue
        for found in those:
            inner = _inner(found.module)
            if _part(found.module) == "keeper" and inner not in [f"keeper.{file}" for file in OPEN_KEEPER_FILES]:
                yield f"{name}:{found.line} imports the closed keeper: {found.module}"
            if _part(found.module) == "server" and found.module != "http.server" and not _is_open(found.module):
                yield f"{name}:{found.line} imports more of the closed server than its open files: {found.module}"
            if _is_open(name) and not found.module.startswith("mlship") and not _is_standard(found.module):
                yield f"{name}:{found.line} an open server file imports {found.module}"


def _is_open(module: str) -> bool:
    parts = module.split(".")
    return len(parts) == 3 and parts[1] == "server" and parts[2] in OPEN_SERVER_FILES


def _heavy(name: str, imports: Iterable[Import]) -> Iterator[str]:
    if _part(name) in CLOSED:
        return
    for found in imports:
        if found.module.split(".")[0] in HEAVY and not found.deferred and not found.typing:
            yield f"{name}:{found.line} imports {found.module} at module level"


def _doors(name: str, read: Reading, imports: Iterable[Import]) -> Iterator[str]:
    inner = _inner(name)
    if _is_below(inner, PROGRAMS):
        return
    in_cli = _part(name) == "cli"
    for found in imports:
        if found.module.split(".")[0] == "subprocess" and inner != "runner":
            yield f"{name}:{found.line} subprocess belongs to runner.py"
        if found.module.split(".")[0] == "rich" and not in_cli:
            yield f"{name}:{found.line} rich belongs to cli/"
    for said, line in read.calls:
        if said == "print" or said.startswith(("sys.stdout.", "sys.stderr.")):
            if not in_cli:
                yield f"{name}:{line} printing belongs to cli/"
        elif said == "os._exit" and inner in FORKS:
            continue
        elif said in ("sys.exit", "exit", "quit", "os._exit", "SystemExit") and inner != "cli.app":
            yield f"{name}:{line} only cli/app.py exits"


def _purity(name: str, read: Reading, imports: Iterable[Import]) -> Iterator[str]:
    if not _is_below(_inner(name), PURE):
        return
    for found in imports:
        if found.module.split(".")[0] in IMPURE_MODULES and not found.typing:
            yield f"{name}:{found.line} a pure module imports {found.module}"
    for said, line in read.attributes:
        if said in IMPURE_NAMES:
            yield f"{name}:{line} a pure module reads {said}"


def _dotted(node: ast.expr) -> str:
    """`sys.stderr.write`; empty for what is no name with its attributes."""
    if isinstance(node, ast.Name):
        return node.id
    whole = _dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{whole}.{node.attr}" if whole and isinstance(node, ast.Attribute) else ""
