"""One app of Container Apps while a release goes in: what there is of it, who reaches what, and the waits. Each change is read back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mlship.targets.azure.container_apps import seen, starting
from mlship.targets.azure.container_apps.releasing import WHOLE, shares, shifted
from mlship.targets.azure.container_apps.seen import API, Revision, Seen
from mlship.targets.azure.door import Door
from mlship.targets.azure.filling import Document, filled
from mlship.targets.azure.scope import Place, Scope
from mlship.targets.azure.waiting import Waiting
from mlship.targets.base import Answer, Deployment, Outcome, Request
from mlship.targets.verify import said_release

START_MARGIN_S = 300.0  # beside the server's own start: a place for the copy, the pull of its image
SETTLE_S = 120.0
CHANGE_S = 900.0  # another command's change of the app, which a killed one leaves running


class App:
    """asks: a host and a request. place: as late as it is needed.

    confirm: before each change; raises LeaseLost where somebody else has the lease by now.
    """

    def __init__(
        self,
        door: Door,
        place: Callable[[], Place],
        scope: Scope,
        waiting: Waiting,
        asks: Callable[[Seen, str, Request], Answer],
        confirm: Callable[[], None],
    ) -> None:
        self.confirm = confirm
        self._door = door
        self._place = place
        self._scope = scope
        self._waiting = waiting
        self._asks = asks

    def look(self) -> Seen | None:
        return seen.look(self._door, self._place(), self._scope)

    def present(self) -> Seen:
        """Every step but the first stands on the app."""
        found = self.look()
        assert found is not None, "stage makes the app"
        return found

    def send(self, method: str, body: Document, known: Mapping[str, Any], below: str = "") -> None:
        self.confirm()
        self._door.arm(method, self._path + below, API, filled(body, known))

    def delete(self, below: str = "") -> None:
        self.confirm()
        self._door.arm("DELETE", self._path + below, API)

    def weigh(self, present: Seen, wanted: list[tuple[Revision, int, str]]) -> Outcome:
        """Raises MlshipError for shares that do not add up."""
        traffic = shares(self._scope, [(one.suffix, weight, label) for one, weight, label in wanted])
        asked = {one.suffix: (weight, label) for one, weight, label in wanted}
        if _said(present) == asked:
            return Outcome()
        self.settled()
        self.send("PATCH", shifted(traffic), {})
        told = self._waiting.until(lambda: True if _said(self.present()) == asked else None, SETTLE_S)
        if told is None:
            return Outcome(False, f"callers are shared otherwise than was asked: {_said(self.present())}", fault="target")
        return Outcome()

    def identity(self, release: str) -> Outcome:
        """The revision that Azure leads callers to, and its own word. A change of traffic takes a moment to be everywhere."""
        present = self.present()
        live = present.live
        if live is None or live.release != release or live.weight != WHOLE:
            return Outcome(
                False, f"callers reach {live.release if live else 'nothing'}, and not {release} alone", fault="target"
            )

        def word() -> str | None:
            said = said_release(self._asks(present, present.host, Request("GET", "/mlship/release")))
            return said if said == release else None

        if self._waiting.until(word, SETTLE_S) is None:
            said = said_release(self._asks(present, present.host, Request("GET", "/mlship/release")))
            return Outcome(False, f"what answers at the endpoint says it is {said or 'nothing'}, not {release}", fault="target")
        return Outcome()

    def stop_others(self) -> None:
        """Those that nobody is led to."""
        self.stop([one for one in self.present().revisions if one.active and not one.weight])

    def stop(self, revisions: Sequence[Revision]) -> None:
        for one in revisions:
            self.deactivate(one)
        names = frozenset(one.suffix for one in revisions)

        def gone() -> bool | None:
            present = self.look()
            running = [one for one in present.revisions if one.suffix in names and one.copies] if present else []
            return None if running else True

        self._waiting.until(gone, SETTLE_S)

    def activate(self, revision: Revision) -> None:
        self._turn(revision, "activate")

    def deactivate(self, revision: Revision) -> None:
        if revision.active:
            self._turn(revision, "deactivate")

    def _turn(self, revision: Revision, way: str) -> None:
        self.confirm()
        self._door.arm("POST", f"{self._path}/revisions/{self._scope.short}--{revision.suffix}/{way}", API)

    @property
    def _path(self) -> str:
        return seen.app_path(self._place(), self._scope)

    def until_ready(self, wanted: str, deployment: Deployment) -> Outcome:
        """Azure is asked, and not the copies: a request of ours would keep them from being billed as idle."""
        limit = deployment.startup_timeout_s + START_MARGIN_S
        known = starting.restarts(self.look(), wanted)
        found = self._waiting.until(lambda: starting.judged(self.look(), wanted, deployment.replicas[0], known), limit)
        late = f"{deployment.release.id} is not ready after {limit:.0f} s"
        return found or Outcome(False, late, starting.reasons(self.look(), wanted))

    def settled(self) -> None:
        """A killed command's change goes on without it."""
        self._waiting.until(lambda: None if (found := self.look()) and found.is_changing else True, CHANGE_S)


def _said(present: Seen) -> dict[str, tuple[int, str]]:
    return {one.suffix: (one.weight, one.label) for one in present.revisions if one.weight or one.label}
