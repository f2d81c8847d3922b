"""The steps of a release at Azure ML. Each looks first, changes what is not so yet, and looks again: none believes a status alone.

Azure takes no ETag here: every write is made only while this command has the lease (`confirm`), and read back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from math import ceil
from typing import Any

from mlship.errors import Finding, MlshipError
from mlship.oci.layout import Layout
from mlship.progress import Progress
from mlship.releases.history import History
from mlship.targets.azure.azureml import bodies, registry, scaling, seen
from mlship.targets.azure.azureml.asking import Caller
from mlship.targets.azure.azureml.callers import Callers
from mlship.targets.azure.azureml.seen import Placed, Seen
from mlship.targets.azure.azureml.site import INSIGHTS_API, ML_API, Site
from mlship.targets.azure.azureml.writing import Workspace
from mlship.targets.azure.caller_azureml import PUSH
from mlship.targets.azure.delivery import Images
from mlship.targets.azure.door import Door
from mlship.targets.azure.filling import Document, filled
from mlship.targets.azure.refusal import Refused
from mlship.targets.azure.scope import Scope
from mlship.targets.azure.waiting import Waiting
from mlship.targets.base import Action, Deployment, Outcome

# Codes of an operation that say that the container does not run ("Troubleshooting online endpoints", learn.microsoft.com, read
# 2026-11); all others (OutOfQuota, OutOfCapacity, ImageBuildFailure, InternalServerError, ...) are no fault of the release.
_OF_RELEASE = ("ResourceNotReady", "ContainerCrashed", "LivenessProbeFailed", "ReadinessProbeFailed")


class Steps:
    """Implements the actions of targets.base.Action for one project in one environment."""

    def __init__(
        self,
        door: Door,
        scope: Scope,
        site: Site,
        layout: Layout,
        environ: Mapping[str, str],
        progress: Progress,
        waiting: Waiting,
        confirm: Callable[[], None],
        caller: Caller,
        recorded: Callable[[], History | None],
    ) -> None:
        self._door = door
        self._scope = scope
        self._site = site
        self._layout = layout
        self._environ = environ
        self._progress = progress
        self._there = Workspace(door, scope, site, waiting, confirm)
        self._callers = Callers(self._there, site, waiting, caller)
        self._recorded = recorded

    def without_image(self, deployment: Deployment) -> Iterator[Finding]:
        """That it cannot be delivered, before anything is changed."""
        yield from self._images(deployment.settings).findings(self._scope.repository, deployment.release)

    def deliver(self, deployment: Deployment) -> Outcome:
        """The registry has the image, the workspace a version of the environment, and there is an endpoint."""
        content, release = deployment.release.served.content, deployment.release.id
        where = deployment.places.get("build.platforms", "")
        if release in seen.versions(self._door, self._scope, self._site):
            with suppress(MlshipError):  # of a registry that this machine may not ask: going back needs no right there
                self._images(deployment.settings).deliver(self._scope.repository, content, where)
        else:
            image = self._images(deployment.settings).deliver(self._scope.repository, content, where)
            self._there.put(self._site.version(release), filled(bodies.environment(deployment), {"Image": image}))
            if release not in seen.versions(self._door, self._scope, self._site):
                return _wrong(f"the workspace has no version {release} of the environment {self._site.environment}")
        if self._there.look() is None:
            if seen.is_foreign(self._door, self._scope, self._site):
                return _wrong(f"the endpoint {self._site.endpoint} is not this project's")
            return self._callers.lead(deployment, {})
        return Outcome()

    def stage(self, action: Action, deployment: Deployment) -> Outcome:
        return self._run(action.release, deployment)

    def mirror(self, action: Action, deployment: Deployment) -> Outcome:
        """All callers reach what serves, and a copy of their requests goes to the release: Azure drops its answers."""
        present = self._there.settled()
        for name in (action.release, action.before):
            if name not in present.placed:
                return _wrong(f"the endpoint has no deployment {name}")
        if others := [name for name, share in present.mirror.items() if share and name != action.release]:
            return _wrong(f"the endpoint copies requests to {others[0]} already, and Azure has room for one")
        grown = self._grown(present, action, deployment)
        if not grown.ok:
            return grown
        return self._callers.lead(deployment, {action.before: bodies.WHOLE}, {action.release: bodies.hundredths(action.share)})

    def weigh(self, action: Action, deployment: Deployment) -> Outcome:
        present = self._there.settled()
        if action.release not in present.placed:
            return _wrong(f"the endpoint has no deployment {action.release}")
        grown = self._grown(present, action, deployment)
        if not grown.ok:
            return grown
        share = bodies.hundredths(action.share)
        if not action.before or action.before == action.release or share == bodies.WHOLE:
            return self._callers.lead(deployment, {action.release: share})
        if action.before not in present.placed:  # a command that was killed had moved all callers already
            done = self._callers.lead(deployment, {action.release: bodies.WHOLE})
            return replace(done, notes=(f"{action.before} is not there any more: all callers reach {action.release}",))
        return self._callers.lead(deployment, {action.release: share, action.before: bodies.WHOLE - share})

    def shift(self, action: Action, deployment: Deployment) -> Outcome:
        """All callers reach the release; what they reached before goes only when they are seen to."""
        moved = self.weigh(replace(action, share=1.0), deployment)
        if not moved.ok:
            return moved
        right = self._met(action.release)
        if not right.ok:
            return right
        for other in self._there.present().placed:
            if other != action.release:
                self._remove(other)
        return self._met(action.release)

    def restore(self, action: Action, deployment: Deployment) -> Outcome:
        if not action.before:
            return self.discard(action.release, deployment)
        placed = self._there.settled().placed.get(action.before)
        if placed is None or not placed.is_ready:
            started = self._run(action.before, self._as_recorded(action.before, deployment))
            if not started.ok:
                return started
        back = self.weigh(Action("weigh", action.before, share=1.0), deployment)
        return back if not back.ok else self.discard(action.release, deployment)

    def discard(self, release: str, deployment: Deployment) -> Outcome:
        """Its machines go, after its callers: to the other release where that has callers, else nobody is led anywhere any more."""
        present = self._there.look()
        if present is None or release not in present.placed:
            return Outcome()
        if present.traffic.get(release) or present.mirror.get(release):
            others = {name: share for name, share in present.traffic.items() if share and name != release}
            if present.traffic.get(release):  # who gets copies alone has no callers to hand on
                others = dict.fromkeys(sorted(others)[:1], bodies.WHOLE)
            moved = self._callers.lead(deployment, others)
            if not moved.ok:
                return moved
        self._remove(release)
        return Outcome()

    def retire(self, subjects: tuple[str, ...], kept: frozenset[str], settings: Mapping[str, Any]) -> Outcome:
        """What releases that are let go could be served from, and their images where no other one has the same content.

        kept: contents that stay.
        """
        known = seen.versions(self._door, self._scope, self._site)
        present = self._there.look()
        for release in subjects:
            is_asked = present is not None and (present.traffic.get(release) or present.mirror.get(release))
            if present is not None and release in present.placed and not is_asked:
                self._remove(release)
        going = {release: known[release] for release in subjects if release in known}
        for release in going:
            self._there.delete(self._site.version(release), ML_API)
        return Outcome(notes=self._without_images({content for content in going.values() if content} - kept, settings))

    def operate(self, deployment: Deployment) -> Outcome:
        """Only how it is operated: the same release, in place."""
        present = self._there.settled()
        put = self._callers.lead(deployment, present.traffic)
        return put if not put.ok else self._run(deployment.release.id, deployment)

    def destroy(self, settings: Mapping[str, Any]) -> Outcome:
        """Callers first, then what served them, then what that was made of; only what carries our tags."""
        for path in seen.settings_of_scaling(self._door, self._scope, self._site):
            self._there.delete(path, INSIGHTS_API)
        if self._there.look() is not None:
            self._there.delete(self._site.endpoint_path, ML_API)
        known = seen.versions(self._door, self._scope, self._site)
        for release in known:
            self._there.delete(self._site.version(release), ML_API)
        if self._there.look() is not None:
            return _wrong(f"the endpoint {self._site.endpoint} is still there")
        return Outcome(notes=self._without_images({content for content in known.values() if content}, settings))

    # -- deployments ---------------------------------------------------------------------------------------------------------

    def _run(self, release: str, deployment: Deployment) -> Outcome:
        """The release's deployment, with machines that Azure finds ready; made again from its version where it is gone."""
        present = self._there.settled()
        placed = present.placed.get(release)
        if placed is not None and placed.state == "Failed":
            self._remove(release)
            placed = None
        capacity = scaling.capacity_for(deployment, placed.capacity if placed else 0)
        failed = self._sent(deployment, placed, capacity)
        if failed is not None:
            return failed
        right = self._is_placed(release)
        if right.ok:
            self._scaled(release, deployment)
        return right

    def _sent(self, deployment: Deployment, placed: Placed | None, capacity: int) -> Outcome | None:
        """None when Azure says that it is done, or nothing was to do."""
        release = deployment.release.id
        said = bodies.release(deployment, self._door.cloud, capacity)
        wanted = filled(said, {"EnvironmentId": self._site.version(release)})
        if placed is not None and _agrees(wanted, _as_sent(placed)) and dict(placed.tags) == wanted["tags"]:
            return None
        self._progress.step("wait", f"Azure ML makes {release}: this takes 8 to 20 minutes")
        try:
            self._there.put(self._site.deployment(release), wanted)
        except Refused as no:
            if no.status in (401, 403) or no.code in ("denied", "quota", "busy"):
                return Outcome(False, no.what, self._log(release), fault="target")
            return Outcome(False, no.what, self._log(release), fault="release" if no.said in _OF_RELEASE else "target")
        return None

    def _grown(self, present: Seen, action: Action, deployment: Deployment) -> Outcome:
        """Machines for its share of the callers before they come: autoscaling would notice them minutes late."""
        placed = present.placed[action.release]
        serving = sum(one.capacity for name, one in present.placed.items() if present.traffic.get(name))
        wanted = scaling.capacity_for(deployment, max(placed.capacity, ceil(serving * action.share)))
        if not scaling.is_scaled(deployment) or wanted <= placed.capacity:
            return Outcome()
        return self._sent(deployment, placed, wanted) or self._is_placed(action.release)

    def _as_recorded(self, release: str, deployment: Deployment) -> Deployment:
        """What was live is put there again as the records have it, with the names of its own secrets."""
        history = self._recorded()
        found = history.find(release) if history else None
        if history is None or found is None:
            return deployment
        return replace(deployment, release=found, references=history.operating.get("references") or {})

    def _is_placed(self, release: str) -> Outcome:
        """Read back: a deployment that says Succeeded can be of another version."""
        placed = self._there.present().placed.get(release)
        if placed is None:
            return _wrong(f"Azure says that it made {release}, and it is not there")
        if not placed.is_ready:
            return Outcome(False, f"the deployment {release} is {placed.state}", self._log(release))
        if placed.environment and placed.environment != release:
            return _wrong(f"the deployment {release} runs {placed.environment}")
        return Outcome()

    def _met(self, release: str) -> Outcome:
        """By callers, alone, and ready."""
        right = self._is_placed(release)
        return self._callers.meet(release) if right.ok else right

    def _scaled(self, release: str, deployment: Deployment) -> None:
        path = self._site.scaling(release)
        present = self._door.find(path, INSIGHTS_API)
        if not scaling.is_scaled(deployment):
            if present is not None:
                self._there.delete(path, INSIGHTS_API)
            return
        known = {"DeploymentId": self._site.deployment(release), "ScalingName": path.rpartition("/")[2]}
        wanted = filled(scaling.autoscaling(deployment), known)
        if present is None or not _agrees(wanted, present):
            self._there.put(path, wanted, INSIGHTS_API)

    def _remove(self, release: str) -> None:
        """A deployment without callers, and what scales it."""
        if self._door.find(self._site.scaling(release), INSIGHTS_API) is not None:
            self._there.delete(self._site.scaling(release), INSIGHTS_API)
        self._there.delete(self._site.deployment(release), ML_API)

    def _log(self, release: str) -> tuple[str, ...]:
        try:
            told = self._door.arm("POST", f"{self._site.deployment(release)}/getLogs", ML_API, {"tail": 20})
        except Refused:
            return ()
        return tuple(line for line in str(told.get("content") or "").splitlines() if line.strip())[-5:]

    # -- images ----------------------------------------------------------------------------------------------------------------

    def _images(self, settings: Mapping[str, Any]) -> Images:
        server = registry.server_of(self._door, self._site, settings)
        return Images(self._door, server, self._layout, self._environ, self._progress, PUSH)

    def _without_images(self, contents: set[str], settings: Mapping[str, Any]) -> tuple[str, ...]:
        """Images are the last thing to go, and nobody is hurt where one stays; what is left is said."""
        if not contents:
            return ()
        self._there.confirm()
        try:
            images = self._images(settings)
            digests = {images.digest_of(self._scope.repository, content) for content in contents}
            images.remove(self._scope.repository, digests - {""})
        except MlshipError as error:
            return (f"images of {self._scope.repository} stay in the registry: {error.what}",)
        return ()


def _as_sent(placed: Placed) -> Document:
    sku = {"sku": {"capacity": placed.capacity}} if placed.capacity else {}
    return {"properties": placed.settings, "tags": placed.tags, **sku}


def _agrees(wanted: Any, present: Any) -> bool:
    """Whether what is there says nothing else than what is wanted. What Azure leaves out of its answer is no difference."""
    if isinstance(wanted, Mapping) and isinstance(present, Mapping):
        return all(_agrees(entry, present[name]) for name, entry in wanted.items() if present.get(name) is not None)
    if isinstance(wanted, list) and isinstance(present, list):
        return len(wanted) == len(present) and all(_agrees(one, other) for one, other in zip(wanted, present, strict=True))
    if isinstance(wanted, str) and isinstance(present, str) and wanted.startswith("/subscriptions/"):
        return wanted.lower() == present.lower()
    return bool(wanted == present)


def _wrong(cause: str) -> Outcome:
    return Outcome(False, cause, fault="target")
