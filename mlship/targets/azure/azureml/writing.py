"""Writes to a workspace of Azure ML, each made only while this command has the lease, and looks at what came of them."""

from __future__ import annotations

from collections.abc import Callable

from mlship.errors import MlshipError
from mlship.targets.azure.azureml import seen
from mlship.targets.azure.azureml.seen import Seen
from mlship.targets.azure.azureml.site import ML_API, Site
from mlship.targets.azure.door import Door
from mlship.targets.azure.filling import Document
from mlship.targets.azure.refusal import Refused
from mlship.targets.azure.scope import Scope
from mlship.targets.azure.waiting import Waiting

SETTLES_S = 3600.0  # what another command began is waited for, as for one's own
_MOVING = ("Creating", "Updating", "Deleting", "Scaling")


class Workspace:
    """confirm: raises LeaseLost where somebody else has the lease by now."""

    def __init__(self, door: Door, scope: Scope, site: Site, waiting: Waiting, confirm: Callable[[], None]) -> None:
        self._door = door
        self._scope = scope
        self._site = site
        self._waiting = waiting
        self.confirm = confirm

    def put(self, path: str, body: Document, api: str = ML_API) -> None:
        self.confirm()
        self._door.arm("PUT", path, api, body)

    def delete(self, path: str, api: str) -> None:
        """What is gone already is no error."""
        self.confirm()
        try:
            self._door.arm("DELETE", path, api)
        except Refused as no:
            if not no.is_missing:
                raise

    def look(self) -> Seen | None:
        return seen.look(self._door, self._scope, self._site)

    def present(self) -> Seen:
        """Every step but the first stands on the endpoint. Raises MlshipError where it is gone."""
        found = self.look()
        if found is None:
            what = f"the endpoint {self._site.endpoint} is not there any more: somebody took it away"
            raise MlshipError(what, fix="run the same command again; it makes the endpoint anew", code="gone")
        return found

    def settled(self) -> Seen:
        """When nothing of it is changing any more: a command that was killed leaves an operation that goes on."""
        return self._waiting.until(self._still, SETTLES_S) or self.present()

    def _still(self) -> Seen | None:
        present = self.present()
        states = (present.state, *(one.state for one in present.placed.values()))
        return None if any(state in _MOVING for state in states) else present
