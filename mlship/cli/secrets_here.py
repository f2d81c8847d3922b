"""Secrets that this command line might print: learned before anything is said, whether or not the command reads them itself.

A server's log line or an error of another program may repeat what mlship never looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from mlship import masks

if TYPE_CHECKING:
    from mlship.config.nodes import Node

LARGEST = 64 * 2**10  # bytes of a secret's file (flows/secrets.py)
_LONGEST_FILE = 4 << 20  # bytes of an mlship.yaml; config.read refuses less
# Variables that hold a secret by their name; a path is none.
_NAMED = re.compile(r"(?i).*(token|password|passwd|secret|secret_access_key|api_key|private_key|ssh_key)")


def learn_those_here(environ: Mapping[str, str], words: Sequence[str], cwd: Path) -> None:
    """words: of the command line, which need not be a right one. Raises nothing."""
    keys = _said(words, "--key")
    for value in (*_of_environment(environ), *(environ.get(name, "") for name in keys)):
        masks.learn(value)
    file = _configuration(words, cwd)
    if file is not None:
        for value in _of_file(environ, file):
            masks.learn(value)
            for line in value.splitlines():  # name:roles:key, as serve.auth.api_keys has them
                masks.learn(line.rpartition(":")[2])


def _of_environment(environ: Mapping[str, str]) -> Iterator[str]:
    return (value for name, value in environ.items() if _NAMED.fullmatch(name) and not value.startswith("/"))


def _configuration(words: Sequence[str], cwd: Path) -> Path | None:
    """The mlship.yaml that the command would read; whether it may, it says itself."""
    folder = Path(cwd, *(Path(said).expanduser() for said in _said(words, "-C", "--directory")[-1:]))
    for said in _said(words, "-f", "--file")[-1:]:
        return folder / Path(said).expanduser()
    return next((place / "mlship.yaml" for place in (folder, *folder.parents) if (place / "mlship.yaml").is_file()), None)


def _said(words: Sequence[str], *options: str) -> list[str]:
    """What stands behind an option: `--key NAME`, `--key=NAME`."""
    apart = [after for word, after in pairwise(words) if word in options]
    return apart + [word.partition("=")[2] for word in words if word.partition("=")[0] in options and "=" in word]


def _of_file(environ: Mapping[str, str], file: Path) -> Iterator[str]:
    """Also of a file that is wrong elsewhere: what is wrong with it is about to be printed."""
    with suppress(OSError, ValueError), file.open("rb") as there:
        if b"secrets" not in there.read(_LONGEST_FILE):
            return
    # here and not above: few files name secrets
    from mlship.config.read import compose, read_text
    from mlship.config.report import Report
    from mlship.errors import MlshipError

    with suppress(MlshipError):
        root = compose(read_text(file), Report(file.name))
        if root is not None:
            for name, text in set(_places(root)):
                yield from _value(environ, file.parent, name, text)


def _places(node: Node) -> Iterator[tuple[str, str]]:
    """(name, `env` or `file:PATH`) of every section `secrets`, of every environment and target."""
    from mlship.config.nodes import Map, Scalar

    if not isinstance(node, Map):
        return
    section = node.entries.get("secrets")
    for name, places in section.entries.items() if isinstance(section, Map) else ():
        found = places.entries.values() if isinstance(places, Map) else (places,)
        yield from ((name, place.text) for place in found if isinstance(place, Scalar))
    environments = node.entries.get("environments")
    for environment in environments.entries.values() if isinstance(environments, Map) else ():
        yield from _places(environment)


def _value(environ: Mapping[str, str], folder: Path, name: str, text: str) -> Iterator[str]:
    from mlship.config.secrets import source_of

    with suppress(OSError, ValueError):
        source = source_of(name, text)
        if source.kind == "env":
            yield environ.get(source.at, "")
        elif (folder / source.at).is_file():
            with (folder / source.at).open("rb") as file:
                yield file.read(LARGEST).decode(errors="replace")
