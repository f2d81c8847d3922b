"""Commands to paste: one that a text names gets what this call said of where it works, and works as it stands. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from mlship.cli.table import COMMANDS

# Commands that take the project's name; those that say nothing of one project; what else takes only some of the words.
NAMED = frozenset(
    (
        "abort",
        "bench",
        "destroy",
        "drift",
        "history",
        "logs",
        "predict",
        "promote",
        "renew",
        "rollback",
        "status",
        "test",
        "verify",
    )
)
_ALL = ("--env", "--target", "--region", "-f", "-C")
_TAKES = {
    "cache": (),
    "prices": (),
    "schema": (),
    "list": ("--target", "--region"),
    "ci": ("-f", "-C"),
    "init": ("-C",),
    "cost-estimate": ("--env", "--target", "-f", "-C"),
}
_LONG = {"-f": "--file", "-C": "--directory"}
_BEGIN = r"(?<![\w./-])mlship "
_END = rf"[;,)`\n]|: |{_BEGIN}"  # of a command's words, in a sentence
_ADVICE = ("fix", "next", "notes", "undo")  # keys of documents whose text is for people to act on


@dataclass(frozen=True)
class Scope:
    """What a call said of where it works. name: the project's, as an argument."""

    name: str = ""
    env: str = ""
    target: str = ""
    region: str = ""
    file: str = ""
    directory: str = ""

    def command(self, words: str) -> str:
        """One of the same project: `mlship deploy --env prod -C shop`. words: `deploy`, `prices show`."""
        command = ["mlship", *words.split()]
        return shlex.join([*command, *self._options(command[1], command[2:])])

    def completed(self, text: str) -> str:
        """The same text; each command in it has the words of this call that it takes and does not have."""
        if not any(getattr(self, field.name) for field in fields(self)):
            return text
        verbs, name = "|".join(COMMANDS), re.escape(shlex.quote(self.name) if self.name else "NAME")
        return re.sub(
            rf"{_BEGIN}(?P<verb>{verbs})(?![\w-])(?P<name> (?:{name}|NAME)\b)?(?P<rest>.*?)(?={_END}|$)", self._completed, text
        )

    def completed_plain(self, plain: Any, advises: bool = False) -> Any:
        """A document: what stands under the keys of advice anywhere in it."""
        if isinstance(plain, str):
            return self.completed(plain) if advises else plain
        if isinstance(plain, Mapping):
            return {key: self.completed_plain(value, advises or key in _ADVICE) for key, value in plain.items()}
        return [self.completed_plain(item, advises) for item in plain] if isinstance(plain, list | tuple) else plain

    def _completed(self, found: re.Match[str]) -> str:
        verb, name, rest = found["verb"], found["name"] or "", found["rest"]
        if self.name and not name and verb in NAMED:
            name = f" {shlex.quote(self.name)}"
        options = "".join(f" {shlex.quote(word)}" for word in self._options(verb, rest.split()))
        return f"mlship {verb}{name}{options}{rest}"

    def _options(self, verb: str, words: list[str]) -> list[str]:
        """Those that are not among the words. The region is the target's: another target has another one."""
        said = dict(zip(_ALL, (self.env, self.target, self.region, self.file, self.directory), strict=True))
        if "--target" in words[:-1] and words[words.index("--target") + 1] != self.target:
            del said["--region"]
        if "--optimise" in words:  # it looks at every cloud
            del said["--target"]
        return [
            word
            for option in _TAKES.get(verb, _ALL)
            if said.get(option) and option not in words and _LONG.get(option) not in words
            for word in (option, said[option])
        ]
