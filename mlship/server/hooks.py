"""serve.hooks: the user's own preprocess and postprocess around a model.

    def preprocess(rows): ...           # the rows as callers sent them -> the rows as the model takes them, as many
    def postprocess(answer, rows): ...  # {"predictions": [...], ...} and the rows as sent -> the answer, one entry a row

Both see a whole batch, which may hold rows of several requests. `raise WrongInput("...")` refuses rows (422); any other
exception is the hook's failure: 500, with the reason in the log.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlship.server import manifest
from mlship.server.core import ServedModel
from mlship.server.encode import outputs
from mlship.server.input.container import copied
from mlship.server.problems import InputError, Problem, shown
from mlship.server.runtimes.base import LoadedModel, LoadError
from mlship.server.runtimes.observed import observed_outputs

NAMES = ("preprocess", "postprocess")
WORDS = 300  # characters of a refusal that a caller sees


class WrongInput(Exception):
    """For hooks to raise: the caller's rows are wrong, in words that the caller may see.

    row: place of the row in the list that the hook was given.
    """

    def __init__(self, message: str, row: int | None = None, feature: str | None = None) -> None:
        self.row = row
        self.feature = feature
        super().__init__(message)


class HookFailed(Exception):
    """A hook raised, or gave what it must not; its cause is for the log."""


@dataclass(frozen=True)
class Hooks:
    """The functions of one file; one of them may be missing."""

    preprocess: Callable[[list[Any]], Any] | None
    postprocess: Callable[[dict[str, Any], list[Any]], Any] | None

    def before(self, rows: list[Any]) -> list[Any]:
        """Raises InputError, HookFailed."""
        if self.preprocess is None:
            return rows
        made = _called("preprocess", self.preprocess, rows)
        if not isinstance(made, list):
            raise HookFailed(f"preprocess gave {type(made).__name__}, not a list of rows")
        if len(made) != len(rows):
            raise HookFailed(f"preprocess gave {len(made)} rows for {len(rows)}")
        return made

    def after(self, answer: Mapping[str, Any], rows: list[Any]) -> Mapping[str, Any]:
        """Raises InputError, HookFailed."""
        if self.postprocess is None:
            return answer
        made = _called("postprocess", self.postprocess, outputs(answer, len(rows)), rows)
        return made if isinstance(made, Mapping) else {"predictions": made}


class HookedModel:
    """A model between hooks; takes the rows as they came."""

    def __init__(self, entry: manifest.Model, loaded: LoadedModel, hooks: Hooks) -> None:
        """entry: of the model without hooks; its signature is what preprocess has to give."""
        self._entry = entry
        self._loaded = loaded
        self._hooks = hooks
        self._inner = ServedModel(entry, loaded)

    @property
    def title(self) -> str:
        return self._loaded.title

    def predict(self, rows: Any) -> Mapping[str, Any]:
        """Raises InputError for rows that the model or a hook refuses, HookFailed, ModelFailed."""
        sent = list(rows)
        given = sent if self._hooks.postprocess is None else copied(sent)  # preprocess may write into what it gets
        answer = self._inner.run(self._inner.prepare(self._hooks.before(given)))
        return self._hooks.after(answer, sent)

    def signature(self, sample: tuple[Any, ...]) -> manifest.Signature:
        """The model's inputs, as the preprocessed sample shows them, and the outputs after postprocess."""
        found = self._loaded.signature(tuple(self._hooks.before(list(sample))) if sample else ())
        self._inner = ServedModel(replace(self._entry, signature=found), self._loaded)
        public = behind_hooks(replace(self._entry, signature=found), self._hooks).signature
        return replace(found, outputs=observed_outputs(self, public, sample, _classes(found)))


def hooks_from(entry: manifest.Model, code: Path) -> Hooks:
    """The hooks that the manifest names. code: the folder of the user's code in an image. Raises LoadError, and what the file raises."""
    name = entry.hooks.removesuffix(".py").replace("/", ".")
    module = importlib.import_module(name)
    file = code / entry.hooks
    if file.is_file() and not (module.__file__ and file.samefile(module.__file__)):
        raise LoadError(f"serve.hooks: an installed package is called {name}, too; give {entry.hooks} another name")
    found = {each: getattr(module, each, None) for each in NAMES}
    if not any(found.values()):
        raise LoadError(f"serve.hooks: {entry.hooks} has neither preprocess(rows) nor postprocess(answer, rows)")
    for each, function in found.items():
        if function is not None and not callable(function):
            raise LoadError(f"serve.hooks: {each} in {entry.hooks} is no function")
    return Hooks(found["preprocess"], found["postprocess"])


def behind_hooks(entry: manifest.Model, hooks: Hooks) -> manifest.Model:
    """The entry as callers meet it: rows are taken as they came, unchecked where preprocess makes others of them."""
    inputs = () if hooks.preprocess is not None else entry.signature.inputs
    return replace(entry, signature=replace(entry.signature, inputs=inputs, container="list"))


def _called(name: str, hook: Callable[..., Any], *given: Any) -> Any:
    try:
        return hook(*given)
    except WrongInput as wrong:
        row = wrong.row if isinstance(wrong.row, int) and 0 <= wrong.row < len(given[-1]) else None
        where = "" if row is None else f"row {row}: "
        feature = None if wrong.feature is None else shown(str(wrong.feature))
        raise InputError(422, [Problem(row, feature, None, "", where + _sayable(str(wrong)))]) from None
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also a hook that calls exit()
        raise HookFailed(f"{name} raised {type(error).__name__}: {error}") from error


def _sayable(words: str) -> str:
    """Short enough for an answer, and without what UTF-8 cannot hold."""
    return words[:WORDS].encode("utf-8", "replace").decode()


def _classes(found: manifest.Signature) -> tuple[Any, ...] | None:
    return next((output.classes for output in found.outputs if output.classes), None)
