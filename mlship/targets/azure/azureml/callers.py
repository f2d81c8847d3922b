"""Who reaches which release at an endpoint of Azure ML: the whole of it is put again, and read back."""

from __future__ import annotations

from collections.abc import Mapping

from mlship.targets.azure.azureml import bodies
from mlship.targets.azure.azureml.asking import Caller
from mlship.targets.azure.azureml.seen import Seen
from mlship.targets.azure.azureml.site import IDENTITIES, Site
from mlship.targets.azure.azureml.writing import Workspace
from mlship.targets.azure.filling import Document, filled
from mlship.targets.azure.waiting import Waiting
from mlship.targets.base import Deployment, Outcome, Request
from mlship.targets.verify import said_release

ANSWERS_S = 180.0  # until the new shares are those that callers meet


class Callers:
    """ask: as a caller does."""

    def __init__(self, there: Workspace, site: Site, waiting: Waiting, ask: Caller) -> None:
        self._there = there
        self._site = site
        self._waiting = waiting
        self._ask = ask

    def lead(self, deployment: Deployment, traffic: Mapping[str, int], mirror: Mapping[str, int] | None = None) -> Outcome:
        """The whole endpoint again, with these shares. mirror: left out, no release of ours gets copies of requests; what somebody
        else has them copied to goes on getting them.
        """
        present = self._there.look()
        copied = mirror if mirror is not None else _of_others(present)
        wanted = filled(bodies.endpoint(deployment, traffic, copied), self._identity_path(deployment))
        if present is None or not _is_so(present, wanted):
            self._there.put(self._site.endpoint_path, wanted)
        made = self._there.settled()
        for what, found, said in (("shares", made.traffic, traffic), ("copies of requests", made.mirror, copied)):
            if _reached(found) != _reached(said):
                told = f"{_reached(found) or 'none'}, and not {_reached(said) or 'none'}"
                return _wrong(f"the endpoint has other {what} than it was given: {told}")
        return Outcome()

    def meet(self, release: str) -> Outcome:
        """Both the resource manager and the endpoint itself have to say so: shares are a moment late."""
        present = self._there.present()
        if present.shares != {release: 1.0}:
            return _wrong(f"callers reach {', '.join(present.shares) or 'nothing'}, and not {release}")
        heard = self._waiting.until(lambda: self._hears(present, release), ANSWERS_S)
        return Outcome() if heard else _wrong(f"the endpoint still answers as another release than {release}")

    def _hears(self, present: Seen, release: str) -> bool | None:
        return True if said_release(self._ask.ask(present, Request("GET", "/mlship/release"))) == release else None

    def _identity_path(self, deployment: Deployment) -> dict[str, str]:
        said = str(deployment.settings.get("identity") or "")
        return {"Identity": self._site.path(IDENTITIES, said)} if said else {}


def _of_others(present: Seen | None) -> dict[str, int]:
    """What somebody else has requests copied to, as long as it is there."""
    return {name: share for name, share in present.mirror.items() if name in present.others} if present else {}


def _is_so(present: Seen, wanted: Document) -> bool:
    told, identities = wanted["properties"], wanted["identity"].get("userAssignedIdentities") or ()
    if present.identities != {path.lower() for path in identities}:
        return False
    shares = [(present.traffic, told["traffic"]), (present.mirror, told["mirrorTraffic"])]
    return (
        all(_reached(found) == _reached(said) for found, said in shares)
        and present.auth in ("", told["authMode"])
        and present.access in ("", told["publicNetworkAccess"])
        and dict(present.tags) == wanted["tags"]
    )


def _reached(traffic: Mapping[str, int]) -> dict[str, int]:
    return {name: share for name, share in sorted(traffic.items()) if share}


def _wrong(cause: str) -> Outcome:
    return Outcome(False, cause, fault="target")
