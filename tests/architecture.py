"""The rules of docs/design.md, "Who may import whom", as functions from sources to broken rules. Reads syntax trees only."""

from __future__ import annotations

import ast
import gc
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
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
SERVER_PACKAGES = {"uvloop", "httptools", "orjson", "numpy", "prometheus_client", "jwt", "cryptography"}
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


def sources(package: Path = PACKAGE) -> dict[str, str]:
    """Dotted name -> source of every module of mlship."""
    names = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text()
    return names


@cache
def tree_of(text: str) -> ast.Module:
    """Parsed once for all who ask. A tree has hundreds of thousands of nodes, through which the collector goes again and again."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(text)
    finally:
        if collects:
            gc.enable()


def broken_rules(modules: Mapping[str, str]) -> list[str]:
    """Every rule that is broken, as `module:line rule`."""
    trees = {name: tree_of(text) for name, text in modules.items()}
    imports = {name: list(_imports(tree, name, trees)) for name, tree in trees.items()}
    return [
        *(broken for name, found in imports.items() for broken in _layers(name, found)),
        *(broken for name, found in imports.items() for broken in _closed(name, found)),
        *_open_server_files(imports),
        *(broken for name, found in imports.items() for broken in _heavy(name, found)),
        *(broken for name, found in imports.items() for broken in _doors(name, modules[name], found)),
        *(broken for name, found in imports.items() for broken in _purity(name, trees[name], found)),
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


def _imports(tree: ast.Module, name: str, modules: Mapping[str, ast.Module]) -> Iterator[Import]:
    def walk(node: ast.AST, deferred: bool, typing: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):  # holds no import
                continue
            if isinstance(child, ast.Import):
                yield from (Import(alias.name, child.lineno, deferred, typing) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = _absolute(child, name, modules)
                for alias in child.names:
                    whole = f"{base}.{alias.name}"
                    yield Import(whole if whole in modules else base, child.lineno, deferred, typing)
            else:
                function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
                guard = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
                yield from walk(child, deferred or function, typing or guard)

    yield from walk(tree, False, False)


def _absolute(node: ast.ImportFrom, name: str, modules: Mapping[str, ast.Module]) -> str:
    if not node.level:
        return node.module or ""
    is_package = any(other.startswith(f"{name}.") for other in modules)
    parts = name.split(".")
    kept = parts[: len(parts) - node.level + (1 if is_package else 0)]
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


def _doors(name: str, text: str, imports: Iterable[Import]) -> Iterator[str]:
    inner = _inner(name)
    if _is_below(inner, PROGRAMS):
        return
    in_cli = _part(name) == "cli"
    for found in imports:
        if found.module.split(".")[0] == "subprocess" and inner != "runner":
            yield f"{name}:{found.line} subprocess belongs to runner.py"
        if found.module.split(".")[0] == "rich" and not in_cli:
            yield f"{name}:{found.line} rich belongs to cli/"
    if not re.search(r"\bprint\(|\bsys\.std|\b_?exit\(|\bquit\(|SystemExit", text):
        return
    for call in (node for node in ast.walk(tree_of(text)) if isinstance(node, ast.Call)):
        said = _dotted(call.func)
        if said == "print" or said.startswith(("sys.stdout.", "sys.stderr.")):
            if not in_cli:
                yield f"{name}:{call.lineno} printing belongs to cli/"
        elif said == "os._exit" and inner in FORKS:
            continue
        elif said in ("sys.exit", "exit", "quit", "os._exit", "SystemExit") and inner != "cli.app":
            yield f"{name}:{call.lineno} only cli/app.py exits"


def _purity(name: str, tree: ast.Module, imports: Iterable[Import]) -> Iterator[str]:
    if not _is_below(_inner(name), PURE):
        return
    for found in imports:
        if found.module.split(".")[0] in IMPURE_MODULES and not found.typing:
            yield f"{name}:{found.line} a pure module imports {found.module}"
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _dotted(node) in IMPURE_NAMES:
            yield f"{name}:{node.lineno} a pure module reads {_dotted(node)}"


def _dotted(node: ast.expr) -> str:
    """`sys.stderr.write`; empty for what is no name with its attributes."""
    if isinstance(node, ast.Name):
        return node.id
    whole = _dotted(node.value) if isinstance(node, ast.Attribute) else ""
    return f"{whole}.{node.attr}" if whole and isinstance(node, ast.Attribute) else ""
