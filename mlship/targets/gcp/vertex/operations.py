"""Long-running operations at Vertex AI: begun, waited for, and those of a command that is not there any more."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from mlship.errors import Exit, MlshipError
from mlship.targets.gcp.door import MISSING, Body, Door, Refused, failure_of
from mlship.targets.gcp.paging import pages
from mlship.targets.gcp.waiting import Waiting

SETTLE_S = 900.0
DEPLOY_S = 7800.0  # ModelContainerSpec.deploymentTimeout is two hours at most; the endpoint's own work comes on top


@dataclass(frozen=True)
class Begun:
    """An operation under way. asked: for people."""

    asked: str
    body: Body


@dataclass(frozen=True)
class Operations:
    door: Door
    waiting: Waiting

    def begin(self, client: str, method: str, request: Mapping[str, Any]) -> Begun:
        return Begun(f"{client} {method}", self.door.call(client, method, request))

    def end(self, begun: Begun, seconds: float) -> Body:
        """What came of it. Raises Refused where it failed, and MlshipError with exit 10 where it is still under way."""

        def look() -> Body | None:
            now = begun.body if begun.body.get("done") else self._read(str(begun.body["name"]))
            return now if now.get("done") else None

        ended: Body | None = self.waiting.until(look, seconds)
        if ended is None:
            raise MlshipError(
                f"{begun.asked} is still under way after {seconds:.0f} s",
                fix="run the same command again: it goes on with it",
                exit=Exit.TIMED_OUT,
                code="still-under-way",
            )
        failed = failure_of(begun.asked, ended)
        if failed:
            raise failed
        answer: Body = ended.get("response") or {}
        return answer

    def finish(self, client: str, method: str, request: Mapping[str, Any], seconds: float) -> Body:
        return self.end(self.begin(client, method, request), seconds)

    def settle(self, endpoints: Iterable[str]) -> None:
        """Nothing is under way on these any more: a command that was killed leaves its operations running, and Vertex AI takes no

        second one beside them. How they ended is seen on the endpoint.
        """
        for endpoint in endpoints:
            for one in self._running(endpoint):
                self.waiting.until(partial(self._is_done, str(one["name"])), DEPLOY_S)

    def _is_done(self, name: str) -> bool | None:
        """None while it is not."""
        return True if self._read(name).get("done") else None

    def _read(self, name: str) -> Body:
        """By its address in the API: the client of google-cloud-aiplatform 1.x asks at `/ui/...`, which no document of Google's has."""
        return self.door.http("GET", f"{self._api}/{name}")

    @property
    def _api(self) -> str:
        return f"https://{self.door.region}-aiplatform.googleapis.com/v1"

    def _running(self, endpoint: str) -> list[Body]:
        try:
            told = [
                one
                for page in pages(self.door, f"{self._api}/{endpoint}/operations", {})
                for one in page.get("operations") or ()
            ]
        except Refused as no:
            if no.code == MISSING:
                return []
            raise
        return [one for one in told if not one.get("done")]
