"""The mlship.yaml that `mlship init` writes: as short as it can be, and read back as what was meant."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable

from mlship.config.addresses import is_address, problem_of
from mlship.config.names import check_project_name
from mlship.config.nodes import plain_value
from mlship.config.words import clipped, named, unseen
from mlship.errors import MlshipError

_LONGEST_NAME = 40
_MODEL_ENDINGS = re.compile(r"\.(joblib|pkl|pickle|skops|onnx|ubj|cbm|json|txt|gz|bz2|xz|lzma|z|zip|yaml|yml)$", re.IGNORECASE)
# Safe without quotes for every YAML reader, also inside [ ]: starts with a letter, a dot or a slash, has no `: ` and no ` #`.
_PLAIN = re.compile(r"[A-Za-z./_][A-Za-z0-9./_+@-]*(:[A-Za-z0-9./_+@-]+)*", re.ASCII)
# YAML 1.1 readers, which editors and other tools still are, take these for switches.
_OLD_SWITCHES = frozenset(("y", "n", "yes", "no", "on", "off"))


def starter_text(
    name: str,
    model_uri: str,
    *,
    code: Iterable[str] = (),
    trust: Iterable[str] = (),
    sample: str = "",
    framework: str = "",
    loader: str = "",
    target: str = "",
    region: str = "",
) -> str:
    """A mlship.yaml: two lines where nothing else is needed. Empty values are left out.

    Raises MlshipError for a name that is none, and for a value with control or direction characters, which no mlship.yaml
    may hold.
    """
    model = {
        "framework": framework and _text(framework),
        "loader": loader and _text(loader),
        "code": _list(map(_path, code)),
        "trust": _list(map(_text, trust)),
        "sample": sample and _path(sample),
    }
    lines = [f"name: {_text(check_project_name(name))}"]
    if target:
        lines.append(f"target: {_text(target)}")
    if region:
        lines.append(f"targets: {{{_text(target)}: {{region: {_text(region)}}}}}")
    if any(model.values()):
        lines += ["model:", f"  uri: {_uri(model_uri)}"]
        lines += [f"  {key}: {value}" for key, value in model.items() if value]
    else:
        lines.append(f"model: {_uri(model_uri)}")
    return "\n".join([*lines, ""])


def project_name(text: str) -> str:
    """A project's name from the name of a file or folder: `Churn_v2.joblib` becomes `churn-v2`; `model` where nothing is left."""
    while found := _MODEL_ENDINGS.search(text):
        text = text[: found.start()]
    latin = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    dashed = re.sub(r"[^a-z0-9]+", "-", latin).strip("-")
    if dashed and not dashed[0].isalpha():
        dashed = f"model-{dashed}"
    return dashed[:_LONGEST_NAME].strip("-") or "model"


def _list(written: Iterable[str]) -> str:
    joined = ", ".join(written)
    return f"[{joined}]" if joined else ""


def _uri(uri: str) -> str:
    """An address as it is."""
    return _text(uri) if is_address(uri) and problem_of(uri) is None else _path(uri)


def _path(path: str) -> str:
    """A path that cannot be taken for a home folder or for an address."""
    return _text(f"./{path}" if path.startswith("~") or is_address(path) else path)


def _text(text: str) -> str:
    """The text as a YAML scalar. JSON's strings are YAML's double-quoted ones, as long as nothing is a surrogate pair."""
    if hidden := unseen(text):
        raise MlshipError(
            f"{clipped(text)} has the character {named(hidden)}, which mlship.yaml cannot hold",
            fix="rename the file or folder",
            code="control-character",
        )
    if _PLAIN.fullmatch(text) and isinstance(plain_value(text), str) and text.lower() not in _OLD_SWITCHES:
        return text
    return json.dumps(text, ensure_ascii=False)
