"""environment.yml: what of it are Python packages that an index has under the same name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mlship.errors import Finding, MlshipError, need

_SPEC = re.compile(r"(?:[\w./-]+::)?(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?P<version>[=<>!~].*|[0-9].*)?")
_PYPI_NAMES = {"pytorch": "torch", "pytorch-cpu": "torch", "py-xgboost": "xgboost", "py-xgboost-cpu": "xgboost",
               "matplotlib-base": "matplotlib", "seaborn-base": "seaborn", "tensorflow-cpu": "tensorflow",
               "py-opencv": "opencv-python-headless", "opencv": "opencv-python-headless"}  # fmt: skip
_THE_BASE = {"python", "pip", "setuptools", "wheel"}
# Packages of conda that are no Python packages: libraries and tools that wheels bring along or that the base has.
_SYSTEM = re.compile(
    r"(?:lib.*|_.*|mkl(?:-.*)?|nomkl|blas|openblas|lapack|cuda.*|cudnn|nccl|openssl|ca-certificates|zlib|xz|bzip2|sqlite|tk|"
    r"ncurses|readline|gcc.*|gxx.*|ld_impl.*|compilers|cmake|make|intel-openmp|llvm-openmp|pytorch-cuda|cpuonly|git|nodejs|r-.*)"
)


def conda_requirements(text: str, path: Path) -> tuple[tuple[str, ...], tuple[Finding, ...]]:
    """Requirements (PEP 508) for what the file names, and findings for what no index has.

    conda's `name=1.5` means 1.5 and its patches. Raises MlshipError where the file is not an environment.
    """
    entries = _dependencies(text, path)
    lines: list[str] = []
    findings: list[Finding] = []
    for entry in entries:
        if isinstance(entry, dict):
            lines += [line for line in entry.get("pip") or [] if isinstance(line, str)]
        elif isinstance(entry, str):
            line, finding = _requirement(entry, path)
            lines += [line] if line else []
            findings += [finding] if finding else []
    return tuple(lines), tuple(findings)


def _dependencies(text: str, path: Path) -> list[Any]:
    yaml = need("yaml")
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())[:200]
        raise MlshipError(f"{path.name} is not valid YAML: {problem}", where=str(path), fix="correct it") from None
    entries = document.get("dependencies") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise MlshipError(f"{path.name} has no list of dependencies", where=str(path), fix="write dependencies: [...]")
    return entries


def _requirement(entry: str, path: Path) -> tuple[str, Finding | None]:
    spec = _SPEC.fullmatch(entry.strip())
    if spec is None:
        return "", Finding(
            f"{path.name}: {entry[:80]!r} is not a package", str(path), "write name=version", code="unreadable-package"
        )
    name = spec["name"].lower()
    if name in _THE_BASE:
        return "", None
    if _SYSTEM.fullmatch(name):
        what = f"{name} is a conda package without a Python package of that name; it is left out"
        fix = f"if the model needs it, add its Debian package to build.packages, else remove {name}"
        return "", Finding(what, str(path), fix, severity="warning", code="conda-only")
    return _PYPI_NAMES.get(name, name) + _version(spec["version"] or ""), None


def _version(text: str) -> str:
    """`=1.5.2=py311_0` -> `==1.5.2`; `=1.5` -> `==1.5.*`; `>=1.2,<2` as it is."""
    text = text.replace(" ", "")
    if text and text[0].isdigit():
        text = f"={text}"
    if not text.startswith("=") or text.startswith("=="):
        return re.sub(r"^(==[^=]+)=[^=]+$", r"\1", text)
    version = text[1:].split("=")[0]
    exact = "=" in text[1:] or version.count(".") >= 2 or version.endswith("*")
    return f"=={version}" if exact else f"=={version}.*"
