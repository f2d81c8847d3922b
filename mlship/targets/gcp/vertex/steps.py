"""The steps of a release at Vertex AI. Each looks first, changes what is not so yet, and looks again: none believes a status alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from mlship.errors import MlshipError
from mlship.targets.base import Action, Deployment, Outcome
from mlship.targets.gcp.delivery import Images
from mlship.targets.gcp.door import CONFLICT, MISSING, Body, Door, Refused
from mlship.targets.gcp.scope import Scope
from mlship.targets.gcp.variables import filled
from mlship.targets.gcp.vertex import bodies, seen
from mlship.targets.gcp.vertex.bodies import PROOF, WHOLE
from mlship.targets.gcp.vertex.fleet import Fleet
from mlship.targets.gcp.vertex.operations import SETTLE_S, Operations
from mlship.targets.gcp.vertex.seen import ENDPOINTS, MODELS, Endpoint, Seen

UPLOAD_S = 900.0  # the image is copied at that step
LOOKS = 3  # so often a split is written anew because the endpoint had changed meanwhile
STALE = ("ABORTED", "FAILED_PRECONDITION")  # what an etag that is not the newest any more is answered with


class Steps:
    """Implements the actions of targets.base.Action for one project in one environment."""

    def __init__(self, door: Door, scope: Scope, images: Images, operations: Operations) -> None:
        self._door = door
        self._scope = scope
        self._images = images
        self._operations = operations
        self._fleet = Fleet(door, scope, operations)

    def deliver(self, deployment: Deployment) -> Outcome:
        """The registry has the image, and the model has the release as a version."""
        self._images.converge(self._scope.labels("registry", deployment.labels))
        known = seen.versions(self._door, self._scope)
        if deployment.release.id in known:
            return Outcome()
        reference = self._images.deliver(deployment.release.served.content)
        request = bodies.upload_request(deployment, first=not known)
        said = filled(request, {"Project": self._door.project, "Image": reference})
        self._operations.finish(MODELS, "upload_model", said, UPLOAD_S)
        if deployment.release.id not in seen.versions(self._door, self._scope):
            return Outcome(False, f"Vertex AI has no version {deployment.release.id} of the model", fault="target")
        return Outcome()

    def stage(self, action: Action, deployment: Deployment) -> Outcome:
        """The release has its machines at 0 %, and one replica where mlship can ask it: both are made at the same time."""
        self._endpoint(deployment, "")
        present = self._present()
        if present.callers.share_of(action.release):  # callers reach it already, and so does mlship
            done = self._fleet.complete(deployment)
            shares = {release: present.callers.share_of(release) for release in present.callers.weights}
            return done if not done.ok else self._lead(shares, deployment)
        self._endpoint(deployment, PROOF)
        return self._fleet.complete(deployment, ("", PROOF))

    def weigh(self, action: Action, deployment: Deployment) -> Outcome:
        share = bodies.percent(action.share)
        present = self._present()
        missing = self._missing(present.callers, action.release)
        if missing:
            return missing
        shares = {action.release: share}
        if action.before and action.before != action.release and share < WHOLE:
            shares[action.before] = WHOLE - share
        moved = self._lead(shares, deployment)
        if moved.ok:
            self._fleet.undeploy(action.release, PROOF)
        return moved

    def shift(self, action: Action, deployment: Deployment) -> Outcome:
        """What served before stays warm until the release is committed (`retire`)."""
        return self.weigh(replace(action, share=1.0), deployment)

    def restore(self, action: Action, deployment: Deployment) -> Outcome:
        present = self._present()
        if not action.before:
            return self.discard(action.release)
        if not present.callers.of(action.before):
            again = self._fleet.complete(deployment, release=action.before)
            if not again.ok:
                return again
        back = self._lead({action.before: WHOLE})
        return back if not back.ok else self.discard(action.release, action.before)

    def discard(self, release: str, live: str = "") -> Outcome:
        """Its machines go, after its callers: to what is live, else to whoever has callers, else nobody is led anywhere any more."""
        self._operations.settle(self._names())
        present = self._look()
        if present is None:
            return Outcome()
        callers = present.callers
        if callers.share_of(release):
            heirs = [name for name in (live, *callers.weights) if name != release and callers.of(name)]
            led = self._lead({heirs[0]: WHOLE} if heirs else {})
            if not led.ok:
                return led
        self._undeployed(release)
        return Outcome()

    def operate(self, deployment: Deployment) -> Outcome:
        """Only how it is operated. Replicas change in place; another kind of machine is deployed beside the former one first."""
        self._endpoint(deployment, "")
        done = self._fleet.complete(deployment)
        if not done.ok:
            return done
        led = self._lead({deployment.release.id: WHOLE}, deployment)
        if led.ok:
            self._fleet.undeploy_idle(deployment.release.id)
        return led

    def retire(self, running: frozenset[str], kept: Mapping[str, str]) -> Outcome:
        """Machines that nobody is led to, versions of releases that are let go, and their images.

        running: releases that keep their machines. kept: release -> content, of those that stay restorable.
        """
        present = self._look()
        if present is not None:
            self._operations.settle(self._names())
            for release in sorted(present.staged - running):
                self._undeployed(release)
            for release in sorted(running):
                self._fleet.undeploy_idle(release)
        return self.forget(kept)

    def forget(self, kept: Mapping[str, str]) -> Outcome:
        """kept: release -> content, of those whose versions and images stay."""
        known = seen.versions(self._door, self._scope)
        going = {release: one for release, one in known.items() if release not in kept}
        if not going:
            return Outcome()
        if len(going) == len(known):
            self._deleted(MODELS, "delete_model", seen.model_name(self._door, self._scope))
        else:
            self._forget_versions(max(set(known) - set(going)), going)
        self._images.remove({str(one.get("versionDescription", "")) for one in going.values()} - set(kept.values()))
        return Outcome()

    def destroy(self) -> Outcome:
        """Callers first, then what served them, then the model and its images; only what carries our labels."""
        self._operations.settle(self._names())
        if self._look() is not None:
            self._lead({})
        for end in (PROOF, ""):  # the callers' last: what is left of a destroy that was killed is found by it
            found = seen.endpoint(self._door, self._scope, end)
            if found is not None:
                for release in {one.release for one in found.deployed}:
                    self._fleet.undeploy(release, end)
                self._deleted(ENDPOINTS, "delete_endpoint", found.name)
        if seen.versions(self._door, self._scope):
            self._deleted(MODELS, "delete_model", seen.model_name(self._door, self._scope))
        self._images.destroy()
        return Outcome()

    # -- callers -------------------------------------------------------------------------------------------------------

    def _lead(self, shares: Mapping[str, int], deployment: Deployment | None = None) -> Outcome:
        """Callers by release. Written over what was seen; where somebody changed that meanwhile, looked at and written anew.

        deployment: only what it wants of its release gets callers.
        """
        details: tuple[str, ...] = ()
        for _ in range(LOOKS):
            callers, split = self._split(shares, deployment)
            if dict(callers.split) == split:
                return Outcome()
            try:
                self._door.call(ENDPOINTS, "update_endpoint", bodies.split_request(callers.name, callers.etag, split))
            except Refused as no:
                if no.said not in STALE:
                    raise
                details = (no.what,)
                self._operations.settle([callers.name])
        callers, split = self._split(shares, deployment)
        if dict(callers.split) == split:
            return Outcome()
        return Outcome(False, f"callers are led as {dict(callers.weights)}, and not as they should be", details, fault="target")

    def _split(self, shares: Mapping[str, int], deployment: Deployment | None) -> tuple[Endpoint, dict[str, int]]:
        callers = self._present().callers
        unfit = self._fleet.unfit(callers, deployment) if deployment else ()
        return callers, seen.split_of(shares, callers, unfit)

    def _undeployed(self, release: str) -> None:
        for end in ("", PROOF):
            self._fleet.undeploy(release, end)

    def _missing(self, callers: Endpoint, release: str) -> Outcome | None:
        if callers.of(release):
            return None
        return Outcome(False, f"no deployed model of the endpoint has {release}", fault="target")

    # -- parts ---------------------------------------------------------------------------------------------------------

    def _endpoint(self, deployment: Deployment, end: str) -> None:
        """It is there, with its labels."""
        found = seen.endpoint(self._door, self._scope, end)
        if found is None:
            said = filled(bodies.endpoint_request(deployment, end), {"Project": self._door.project})
            try:
                self._operations.finish(ENDPOINTS, "create_endpoint", said, SETTLE_S)
            except Refused as no:
                if no.code != CONFLICT:
                    raise
            if seen.endpoint(self._door, self._scope, end) is None:
                raise MlshipError(
                    f"the endpoint {said['endpointId']} is somebody else's: it does not carry mlship's labels",
                    fix="take it away, or deploy under another name or environment",
                    code="foreign-endpoint",
                )
            return
        labels = bodies.endpoint_labels(deployment, end)
        if dict(found.labels) != labels:
            changed = {"name": found.name, "etag": found.etag, "labels": labels}
            self._door.call(ENDPOINTS, "update_endpoint", {"endpoint": changed, "updateMask": "labels"})

    def _forget_versions(self, heir: str, going: Mapping[str, Body]) -> None:
        """heir: has to be what the model means by itself, where that was one that goes: it is never without such a version."""
        name = seen.model_name(self._door, self._scope)
        if any("default" in (one.get("versionAliases") or ()) for one in going.values()):
            self._door.call(MODELS, "merge_version_aliases", {"name": f"{name}@{heir}", "versionAliases": ["default"]})
        for one in going.values():
            self._deleted(MODELS, "delete_model_version", f"{name}@{one['versionId']}")

    def _deleted(self, client: str, method: str, name: str) -> None:
        try:
            self._operations.finish(client, method, {"name": name}, SETTLE_S)
        except Refused as no:
            if no.code != MISSING:
                raise

    def _look(self) -> Seen | None:
        return seen.look(self._door, self._scope)

    def _present(self) -> Seen:
        found = self._look()
        assert found is not None, "stage makes the endpoint"
        return found

    def _names(self) -> list[str]:
        return [seen.endpoint_name(self._door, self._scope, end) for end in ("", PROOF)]
