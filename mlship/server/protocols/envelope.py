"""The JSON object around rows, as each platform names its keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mlship.server.problems import InputError, described, near


@dataclass(frozen=True)
class Envelope:
    """forms: the keys of which exactly one holds the rows. parameters: the platform's key for parameters of the model.

    No model here takes parameters: they may be empty, and are refused otherwise, as nothing is ignored silently.
    """

    forms: tuple[str, ...]
    parameters: str
    example: str

    def opened(self, value: Any, ignores_extra: bool) -> tuple[str, Any]:
        """The key that was there, and what it held. ignores_extra: other keys are not refused. Raises InputError(400)."""
        if not isinstance(value, dict):
            raise InputError(400, message=f"the body must be an object such as {self.example}, got {described(value)}")
        found = [name for name in self.forms if name in value]
        if len(found) != 1:
            said = f"it has {' and '.join(found)}" if found else f"send for example {self.example}"
            raise InputError(400, message=f"the body must have {self._one()}; {said}")
        if not ignores_extra:
            self._require_known(value, found[0])
        if value.get(self.parameters) not in (None, {}):
            raise InputError(400, message=f"the model takes no {self.parameters}; leave them out")
        return found[0], value[found[0]]

    def _one(self) -> str:
        return f'"{self.forms[0]}"' if len(self.forms) == 1 else f"exactly one of {', '.join(self.forms)}"

    def _require_known(self, value: dict[str, Any], form: str) -> None:
        known = [*self.forms, self.parameters]
        for name in value:
            if name not in known:
                shown = name[:60].encode("utf-8", "replace").decode()
                raise InputError(400, message=f'the body has "{shown}" beside "{form}"{near(name, known)}')
