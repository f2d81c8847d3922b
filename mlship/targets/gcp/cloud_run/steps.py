"""The steps of a release at Cloud Run. Each looks first, changes what is not so yet, and looks again: none believes a status alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from mlship.targets.base import Action, Deployment, Outcome
from mlship.targets.gcp.cloud_run import bodies, seen
from mlship.targets.gcp.cloud_run.operator_key import OperatorKey
from mlship.targets.gcp.cloud_run.seen import Revision, Seen
from mlship.targets.gcp.delivery import Images
from mlship.targets.gcp.door import CONFLICT, MISSING, Body, Door, Refused
from mlship.targets.gcp.scope import Scope
from mlship.targets.gcp.variables import filled
from mlship.targets.gcp.waiting import Waiting, finished

SERVICES, REVISIONS = "run services", "run revisions"
START_MARGIN_S = 300.0  # beside the server's own start: a place for the instance, the import of its image
SETTLE_S = 180.0
LOOKS = 3  # so often a change is sent anew because only the statuses of the service had changed meanwhile
PENDING = ("", "CONDITION_PENDING", "CONDITION_RECONCILING")
# Why a revision is not ready although nothing is known of its container yet (run.v2, Condition).
NOT_ITS_FAULT = (
    "CONTAINER_MISSING",
    "CONTAINER_PERMISSION_DENIED",
    "CONTAINER_IMAGE_UNAUTHORIZED",
    "CONTAINER_IMAGE_AUTHORIZATION_CHECK_FAILED",
    "ENCRYPTION_KEY_PERMISSION_DENIED",
    "ENCRYPTION_KEY_CHECK_FAILED",
    "SECRETS_ACCESS_CHECK_FAILED",
    "VPC_NETWORK_NOT_FOUND",
    "INTERNAL",
    "MIN_INSTANCES_NOT_PROVISIONED",
    "ACTIVE_REVISION_LIMIT_REACHED",
)

# field of a revision -> the key that says it
FIXED = {
    "maxInstanceRequestConcurrency": "scale.per_replica",
    "serviceAccount": "targets.gcp.service_account",
    "vpcAccess": "targets.gcp.vpc_connector, network or subnet",
    "nodeSelector": "targets.gcp.accelerator",
    "resources": "targets.gcp.billing",
    "timeout": "serve.request_timeout",
    "startupProbe": "serve.startup_timeout",
}


class Steps:
    """Implements the actions of targets.base.Action for one project in one environment."""

    def __init__(self, door: Door, scope: Scope, images: Images, waiting: Waiting, operator: OperatorKey) -> None:
        self._door = door
        self._scope = scope
        self._images = images
        self._waiting = waiting
        self._operator = operator

    def deliver(self, deployment: Deployment) -> Outcome:
        """The registry has the image, and the secret store has mlship's own key where the server asks for one.

        The key first: a right that is granted takes a while until it holds everywhere, and so do images.
        """
        if bodies.is_closed(deployment):
            self._operator.converge(deployment)
        self._images.converge(self._scope.labels("registry", deployment.labels))
        self._images.deliver(deployment.release.served.content)
        return Outcome()

    def stage(self, action: Action, deployment: Deployment) -> Outcome:
        """The release's revision is there and ready, at 0 %; beside nothing else it has all callers."""
        present = self._look()
        known = present.of(action.release) if present else None
        attempt = known.attempt if known else 1
        if known is not None and not known.is_ready and known.state not in PENDING:
            attempt += 1  # what failed once stays as it is, under its name
            known = None
        if known is None:
            refused = self._made(present, deployment, attempt)
        else:
            assert present is not None, "its revision was seen"
            refused = self._shared(deployment, present, self._beside(present, known.name))
        return refused or self._until_ready(self._scope.named(action.release, attempt), action.release, deployment)

    def weigh(self, action: Action, deployment: Deployment) -> Outcome:
        return self._moved(action, deployment, {})

    def shift(self, action: Action, deployment: Deployment) -> Outcome:
        """All callers, and how it is operated, in one call."""
        return self._moved(replace(action, share=1.0, before=""), deployment, bodies.operated(deployment))

    def restore(self, action: Action, deployment: Deployment) -> Outcome:
        """A flip of the callers: the revision of before is still there. deployment: as it was operated before."""
        if not action.before:
            return self.discard(action.release, "")
        back = self._moved(Action("weigh", action.before), deployment, bodies.operated(deployment))
        return back if not back.ok else self.discard(action.release, action.before)

    def discard(self, release: str, live: str) -> Outcome:
        """Nobody is led to it any more. live: whom the callers go to where nothing else has any; without it the service goes."""
        present = self._look()
        if present is None:
            return Outcome()
        named = {*present.percents, *present.wanted}
        gone = {name for name in named if self._scope.release_of(name) == release}
        left = {name: share for name, share in present.percents.items() if name not in gone}
        kept = present.of(live) if live and live != release else None
        if not gone and (present.shares or live or present.of(release) is None):
            return Outcome()
        if not any(left.values()):
            if kept is None:
                return self._delete_service()
            left = {kept.name: bodies.WHOLE}
        else:
            most = max(left, key=lambda name: left[name])
            left[most] += bodies.WHOLE - sum(left.values())
        return self._led(present, left) or Outcome()

    def retire(self, kept: frozenset[str], contents: frozenset[str]) -> Outcome:
        """Revisions of releases that are let go, those that nobody ever recorded, and images that no kept release has.

        kept: releases; contents: of those. What Cloud Run made last it keeps (from memory, verify: it refuses to delete the
        latest created revision): the next command finds it no longer the last.
        """
        present = self._look()
        if present is None:
            return Outcome()
        met = {*present.percents, *present.wanted}
        going = [one for one in present.revisions.values() if one.release not in kept and one.name not in met]
        for revision in going:
            if revision.name != present.latest:
                self._forget(revision)
        self._images.remove({one.content for one in going if one.content} - contents)
        return Outcome()

    def operate(self, deployment: Deployment) -> Outcome:
        """Only how it is operated: no revision is made, no instance replaced."""
        present = self._look()
        if present is None or present.of(deployment.release.id) is None:
            return Outcome(False, f"Cloud Run has no revision of {deployment.release.id}", fault="target")
        refused = self._updated(deployment, present, bodies.operated(deployment))
        if refused:
            return refused
        now = self._look()
        differs = _untaken(now, bodies.operated(deployment)) if now else [*bodies.OPERATED]
        if differs:
            return Outcome(False, f"Cloud Run did not take {', '.join(differs)}", fault="target")
        return Outcome(notes=_fixed(deployment, now))

    def destroy(self) -> Outcome:
        """Callers and what serves them first, then what that came from; only what carries our labels."""
        if self._look() is not None:
            gone = self._delete_service()
            if not gone.ok:
                return gone
        self._images.destroy()
        self._operator.destroy()
        return Outcome()

    # -- revisions -----------------------------------------------------------------------------------------------------

    def _made(self, present: Seen | None, deployment: Deployment, attempt: int) -> Outcome | None:
        """None when Cloud Run took it; whether it starts is seen then."""
        content = deployment.release.served.content
        digest = self._images.digest_of(content)
        if not digest:
            return Outcome(False, f"the registry has no image {content}", fault="target")
        known = {"Image": str(self._images.place.at(digest))}
        name = self._scope.named(deployment.release.id, attempt)

        def is_made(now: Seen) -> bool:
            return name in now.revisions

        if present is None:
            return self._sent("create_service", bodies.create_request(deployment, attempt), known, None, is_made)
        part = {
            **bodies.launch_stage(deployment),
            "template": bodies.template(deployment, attempt),
            "traffic": bodies.traffic(self._beside(present, name), self._scope),
        }
        request = bodies.update_request(deployment, part)
        return self._sent("update_service", request, {**known, "Etag": present.etag}, present, is_made)

    def _beside(self, present: Seen, name: str) -> dict[str, int]:
        """The callers' shares as they are, and this revision, at 0 % unless its release has some already.

        Earlier tries of the release are left out: they never started, and two revisions cannot have one tag.
        """
        own = self._scope.release_of(name)
        others = {one: share for one, share in present.percents.items() if share and self._scope.release_of(one) != own}
        return {**others, name: bodies.WHOLE - sum(others.values())}

    def _until_ready(self, name: str, release: str, deployment: Deployment) -> Outcome:
        seconds = deployment.startup_timeout_s + START_MARGIN_S
        found: Outcome | None = self._waiting.until(lambda: self._started(name, release), seconds)
        return found or Outcome(False, f"{release} is not ready after {seconds:.0f} s", fault="target")

    def _started(self, name: str, release: str) -> Outcome | None:
        """None while nobody can tell."""
        present = self._look()
        revision = present.revisions.get(name) if present else None
        if present is None or revision is None or revision.state in PENDING:
            return None
        if not revision.is_ready:
            return _failed(release, revision)
        return Outcome() if name in present.percents else None

    def _forget(self, revision: Revision) -> None:
        name = f"{seen.name_of(self._door, self._scope)}/revisions/{revision.name}"
        try:
            finished(self._door, REVISIONS, "delete_revision", {"name": name}, self._waiting, SETTLE_S)
        except Refused as no:
            if no.code != MISSING:  # another command did it meanwhile
                raise

    # -- callers -------------------------------------------------------------------------------------------------------

    def _moved(self, action: Action, deployment: Deployment, more: Mapping[str, Any]) -> Outcome:
        """So many callers to the release, the others to what was before; then what really is so is looked at."""
        present = self._look()
        after = present.of(action.release) if present else None
        before = present.of(action.before) if present and action.before else None
        if present is None or after is None:
            return Outcome(False, f"Cloud Run has no revision of {action.release}", fault="target")
        share = bodies.percent(action.share) if before is not None and before.name != after.name else bodies.WHOLE
        percents = {after.name: share} | ({before.name: bodies.WHOLE - share} if before and before.name != after.name else {})
        refused = self._shared(deployment, present, percents, more)
        return refused or self._identity(percents)

    def _shared(
        self, deployment: Deployment, present: Seen, percents: Mapping[str, int], more: Mapping[str, Any] | None = None
    ) -> Outcome | None:
        part = {"traffic": bodies.traffic(percents, self._scope), **(more or {})}
        return self._updated(deployment, present, part)

    def _updated(self, deployment: Deployment, present: Seen, part: Mapping[str, Any]) -> Outcome | None:
        """Only what differs is sent. None when it is so."""
        changed = {name: value for name, value in part.items() if not _is_so(present, name, value)}
        if not changed:
            return None

        def is_so(now: Seen) -> bool:
            return all(_is_so(now, name, value) for name, value in changed.items())

        return self._sent("update_service", bodies.update_request(deployment, changed), {"Etag": present.etag}, present, is_so)

    def _led(self, present: Seen, percents: Mapping[str, int]) -> Outcome | None:
        """The same where there is no deployment at hand."""
        name = seen.name_of(self._door, self._scope)
        body = {"name": name, "etag": present.etag, "traffic": bodies.traffic(percents, self._scope)}

        def is_so(now: Seen) -> bool:
            return _is_so(now, "traffic", body["traffic"])

        sent = self._sent("update_service", {"service": body, "updateMask": "traffic"}, {}, present, is_so)
        return sent or _unless(self._identity(percents))

    def _identity(self, percents: Mapping[str, int]) -> Outcome:
        """What the service was told is not what callers meet: the statuses have to be the same."""

        def look() -> bool | None:
            found = self._look()
            return True if found is not None and found.percents == dict(percents) else None

        if self._waiting.until(look, SETTLE_S):
            return Outcome()
        present = self._look()
        told = present.percents if present else {}
        return Outcome(False, f"callers are shared as {told}, and not as {dict(percents)}", fault="target")

    # -- calls ---------------------------------------------------------------------------------------------------------

    def _sent(
        self, method: str, request: Body, known: Mapping[str, str], before: Seen | None, is_so: Callable[[Seen], bool]
    ) -> Outcome | None:
        """None where the service has what was said, whatever became of the call: the next look tells whether it is met, too.

        An answer can be lost, and an operation fail because of another revision than the one that callers are led to: one that did
        not start makes those of the service's other changes fail (github.com/Lore-Hex/quill-router/pull/782, 2026-08). before: as
        the service was looked at; an etag that is another one because of statuses alone is taken anew.
        """
        said = filled(request, {**known, "Project": self._door.project})
        for _ in range(LOOKS):
            try:
                ended = finished(self._door, SERVICES, method, said, self._waiting, SETTLE_S + START_MARGIN_S)
            except Refused as no:
                now = self._look()
                if now is not None and is_so(now):
                    return None
                if no.code != CONFLICT:
                    raise
                if now is None or before is None or now.generation != before.generation:
                    return _overtaken(no)
                said["service"]["etag"] = now.etag
                self._waiting.sleep(self._waiting.every_s)
                continue
            return None if ended is not None else Outcome(False, f"{method} is still under way", fault="target")
        return Outcome(False, "the service does not come to rest", ("run the same command again in a while",), fault="target")

    def _look(self) -> Seen | None:
        return seen.look(self._door, self._scope)

    def _delete_service(self) -> Outcome:
        name = seen.name_of(self._door, self._scope)
        try:
            ended = finished(self._door, SERVICES, "delete_service", {"name": name}, self._waiting, SETTLE_S)
        except Refused as no:
            if no.code != MISSING:
                raise
            return Outcome()
        if ended is None:
            return Outcome(False, "the service is still being deleted", fault="target")
        return Outcome()


def _fixed(deployment: Deployment, present: Seen | None) -> tuple[str, ...]:
    """What was said and takes effect only with the next release: it is in the revision, which stays as it is."""
    revision = present.of(deployment.release.id) if present else None
    if revision is None:
        return ()
    wanted, told = _flat(bodies.template(deployment)), _flat(revision.body)
    keys = [key for name, key in FIXED.items() if name in wanted and not _same(wanted[name], told.get(name))]
    if not keys:
        return ()
    return (f"{', '.join(keys)}: {deployment.release.id} goes on as it was made, and the next release will be so",)


def _flat(template: Mapping[str, Any]) -> dict[str, Any]:
    """With the fields of its one container beside its own."""
    (container,) = template["containers"]
    return {**template, **container}


def _failed(release: str, revision: Revision) -> Outcome:
    what = f"{release} did not start: {revision.message or revision.reason}"
    if revision.reason in NOT_ITS_FAULT:
        return Outcome(False, what, (revision.reason,), fault="target")
    return Outcome(False, what, tuple(filter(None, (revision.reason,))))


def _overtaken(no: Refused) -> Outcome:
    return Outcome(False, "somebody else has changed the service since it was looked at", (no.what,), fault="target")


def _unless(outcome: Outcome) -> Outcome | None:
    return None if outcome.ok else outcome


def _is_so(present: Seen, name: str, wanted: Any) -> bool:
    """Of a field of the service. Labels are all of them: one that is said no more goes."""
    told = present.body.get(name)
    return dict(told or {}) == wanted if name == "labels" else _same(wanted, told)


def _untaken(present: Seen, wanted: Mapping[str, Any]) -> list[str]:
    """What is not as it was said. Who is let in is told only while a revision is active (run.v2, Service.ingress)."""
    told = [name for name in wanted if name != "ingress" or present.body.get(name)]
    return [name for name in told if not _is_so(present, name, wanted[name])]


def _same(wanted: Any, told: Any) -> bool:
    """Whether an answer says what was sent: it leaves out what is nothing, and may say more."""
    if isinstance(wanted, Mapping):
        found = told or {}
        return all(_same(value, found.get(name)) for name, value in wanted.items())
    if isinstance(wanted, list):
        found = list(told or ())
        return len(found) == len(wanted) and all(_same(*pair) for pair in zip(wanted, found, strict=True))
    return bool(wanted == told) or (not wanted and told is None)
