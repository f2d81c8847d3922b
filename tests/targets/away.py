"""A cloud that is not there for a while."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from mlship.errors import Exit, MlshipError


class Away:
    """A target, or its records, whose cloud does not answer to some calls."""

    def __init__(self, inner: Any, answers: Callable[[str], bool], exit: Exit = Exit.UNREACHABLE) -> None:
        self._inner, self._answers, self._exit = inner, answers, exit

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name == "records":
            return Away(found, self._answers, self._exit)
        return partial(self._asked, name, found) if callable(found) else found

    def _asked(self, name: str, found: Any, *given: Any) -> Any:
        if not self._answers(name):
            raise MlshipError("the cloud does not answer", exit=self._exit)
        return found(*given)
