"""Text templates: where they lie, and how a value gets into one without becoming part of its language.

A template prints values and loops; it does not decide. Each printed value goes through the finaliser of the document's kind,
so a template writes `image: {{ value.image }}` without quotes of its own (values from a YAML file that reached a Dockerfile
as commands were CVE-2026-33744 in another tool). Kinds without a finaliser are not rendered.
"""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import mlship
from mlship.errors import MlshipError, need

Finaliser = Callable[[Any], str]

# What JSON leaves bare and a YAML reader, a terminal or a reviewer would take for something else.
_INVISIBLE = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufffe\uffff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def templates_folder(package: Path = Path(mlship.__file__).parent) -> Path:
    """`mlship/_templates` of an installed wheel, else `templates` of the checkout. Raises MlshipError when neither is there."""
    for folder in (package / "_templates", package.parent / "templates"):
        if folder.is_dir():
            return folder
    raise MlshipError(
        "this installation of mlship has no templates",
        str(package),
        "pip install --force-reinstall mlship",
        code="no-templates",
    )


def render(template: str, value: object, folder: Path | None = None) -> bytes:
    """The document, as UTF-8.

    template: name below the templates folder, such as `docker/Dockerfile.j2`; the name without `.j2` decides how values are
    written. value: what the template calls `value`. folder: other templates than mlship's own.
    Raises MlshipError when a value cannot be written in this kind of document, ValueError for a kind without a finaliser,
    jinja2.UndefinedError when the template names something that the value does not have.
    """
    environment = _environment(template, folder or templates_folder())
    rendered: str = environment.get_template(template).render(value=value)
    return rendered.encode("utf-8")


@functools.cache
def _environment(template: str, folder: Path) -> Any:
    """jinja2's, whose compiled templates serve the next document of the kind; a file that changed is compiled anew."""
    finaliser = finaliser_of(template)
    sandbox, jinja2 = need("jinja2.sandbox"), need("jinja2")

    def finalise(printed: Any) -> str:
        if isinstance(printed, jinja2.Undefined):
            return str(printed)  # raises, and names what is missing
        try:
            return finaliser(printed)
        except _CannotWrite as error:
            raise MlshipError(str(error), template, "change the value in mlship.yaml", code="template-value") from None

    return sandbox.ImmutableSandboxedEnvironment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        finalize=finalise,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def finaliser_of(template: str) -> Finaliser:
    """How values are written in this document. Raises ValueError for a kind that has no finaliser."""
    name = PurePosixPath(template.removesuffix(".j2")).name
    if name == "Dockerfile" or name.endswith(".Dockerfile"):
        return in_dockerfile
    if re.fullmatch(r"(docker-)?compose([.-].*)?\.ya?ml", name):
        return in_compose
    if name == "Jenkinsfile":
        return in_groovy
    for ending, finaliser in _BY_ENDING.items():
        if name.endswith(ending):
            return finaliser
    raise ValueError(f"templates of the kind {name!r} have no finaliser; add one to mlship/templating.py")


class _CannotWrite(Exception):
    """The value has no safe spelling in this kind of document."""


def in_yaml(value: Any) -> str:
    """JSON, which every YAML reader takes as what it is: `no` stays text, a line end stays inside its text."""
    return _INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", _json(value))


def in_compose(value: Any) -> str:
    """JSON with each `$` doubled: compose puts variables into the texts of its files."""
    return in_yaml(value).replace("$", "$$")


def in_haproxy(value: Any) -> str:
    """Single quotes, inside which HAProxy reads nothing but the text; `%` would still be a variable in a log format."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(f"a {type(value).__name__} is not written into an HAProxy configuration")
    text = str(value)
    if found := re.search(r"['\"%]", text):
        raise _CannotWrite(f"a value has the character {found[0]}, which an HAProxy configuration cannot hold safely")
    return f"'{_without_control(text, 'an HAProxy configuration')}'" if isinstance(value, str) else text


def in_dockerfile(value: Any) -> str:
    """Texts in double quotes with `\\$`, which Docker and a shell read alike; lists as the exec form, which is JSON.

    Refused: control characters and backquotes, which would end the line or start a command; and in lists `$` and backslashes,
    because `\\$` is not JSON and a list that is not JSON goes to a shell.
    """
    if isinstance(value, list | tuple):
        return json.dumps([_dockerfile_text(item, refused="`$\\") for item in value], ensure_ascii=False)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(f"a {type(value).__name__} is not written into a Dockerfile")
    if isinstance(value, int):
        return str(value)
    return json.dumps(_dockerfile_text(value, refused="`"), ensure_ascii=False).replace("$", "\\$")


def in_groovy(value: Any) -> str:
    """Texts in single quotes, inside which Groovy reads backslashes and nothing else; lists of them."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(in_groovy(item) for item in value)}]"
    if not isinstance(value, str):
        raise TypeError(f"a {type(value).__name__} is not written into a Jenkinsfile")
    text = _without_control(value, "a Jenkinsfile").replace("\\", "\\\\").replace("'", "\\'")
    return f"'{text}'"


def _dockerfile_text(value: Any, refused: str) -> str:
    if not isinstance(value, str):
        raise TypeError(f"a {type(value).__name__} is not written into a Dockerfile")
    for character in refused:
        if character in value:
            raise _CannotWrite(f"a value has the character {character}, which a Dockerfile cannot hold safely here")
    return _without_control(value, "a Dockerfile")


def _without_control(text: str, kind: str) -> str:
    if found := _CONTROL.search(text):
        raise _CannotWrite(f"a value has the control character U+{ord(found[0]):04X}, which {kind} cannot hold")
    return text


def _json(value: Any) -> str:
    written = json.dumps(_plain(value), ensure_ascii=False, allow_nan=False)
    if re.search("[\ud800-\udfff]", written):
        raise _CannotWrite("a value has half of a surrogate pair, which is not text")
    return written


def _plain(value: Any) -> Any:
    """Only what JSON has: a Secret, a unit or a path is turned into text by whoever means it to be read."""
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, Mapping):
        if odd := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"the key {odd[0]!r} is not text")
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    raise TypeError(f"a {type(value).__name__} is not written into a YAML document")


_BY_ENDING: Mapping[str, Finaliser] = {".yaml": in_yaml, ".yml": in_yaml, ".cfg": in_haproxy}
