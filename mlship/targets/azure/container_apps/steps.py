"""The steps of a release at Container Apps. Each looks first, changes what is not so yet, and looks again: no status is believed.

These updates take no ETag: each stands under the lease, which is looked at again before it (target.apply), and is read back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from mlship.errors import Finding, MlshipError
from mlship.oci.layout import Layout
from mlship.progress import Progress
from mlship.targets.azure.caller_container_apps import PUSH
from mlship.targets.azure.container_apps import app_secrets, seen, starting
from mlship.targets.azure.container_apps.foundation import APIS, ENVIRONMENT, IDENTITY, REGISTRY, WORKSPACE
from mlship.targets.azure.container_apps.given import Given, given
from mlship.targets.azure.container_apps.new_roles import sent
from mlship.targets.azure.container_apps.preflight import found_or_denied
from mlship.targets.azure.container_apps.releasing import (
    LIVE,
    OPERATOR,
    STAGED,
    WHOLE,
    app,
    entry,
    login,
    operated,
    shares,
    shifted,
    staged,
    suffix,
)
from mlship.targets.azure.container_apps.seen import API, Revision, Seen
from mlship.targets.azure.container_apps.standing import Standing
from mlship.targets.azure.delivery import Images
from mlship.targets.azure.door import Door
from mlship.targets.azure.filling import Document, filled
from mlship.targets.azure.refusal import Refused
from mlship.targets.azure.scope import Place, Scope
from mlship.targets.azure.waiting import Waiting
from mlship.targets.base import Action, Answer, Deployment, Outcome, Request
from mlship.targets.verify import said_release

START_MARGIN_S = 300.0  # beside the server's own start: a place for the copy, the pull of its image
SETTLE_S = 120.0
CHANGE_S = 900.0  # another command's change of the app, which a killed one leaves running
LOGIN = "/authConfigs/current"


class Steps:
    """Implements the actions of targets.base.Action for one project in one environment. asks: a host and a request."""

    def __init__(
        self,
        door: Door,
        place: Callable[[], Place],
        scope: Scope,
        layout: Layout,
        environ: Mapping[str, str],
        waiting: Waiting,
        progress: Progress,
        asks: Callable[[Seen, str, Request], Answer],
    ) -> None:
        self._door = door
        self._place = place
        self._scope = scope
        self._layout = layout
        self._environ = environ
        self._waiting = waiting
        self._progress = progress
        self._asks = asks
        self._newest_role = 0.0  # when the app's identity was given the last of its roles; 0 for long ago

    def without_image(self, deployment: Deployment) -> Iterator[Finding]:
        """That it cannot be delivered, before anything is changed. Where there is no registry yet, this machine has to have it."""
        has = given(deployment)
        path = self._place().resource(REGISTRY, has.registry_name or self._place().registry)
        found = None if has.registry_server else found_or_denied(self._door, path, APIS[REGISTRY])
        server = has.registry_server or str(((found or {}).get("properties") or {}).get("loginServer") or "")
        if server:
            yield from self._images(server).findings(self._scope.repository, deployment.release)

    # -- actions -------------------------------------------------------------------------------------------------------------

    def deliver(self, deployment: Deployment) -> Outcome:
        """The foundation stands, and the registry has the image."""
        standing = self._standing()
        known = standing.made(deployment, given(deployment))
        self._newest_role = standing.newest_role
        self._image(deployment, known)
        return Outcome()

    def stage(self, action: Action, deployment: Deployment) -> Outcome:
        has = given(deployment)
        self._settled()
        wanted = suffix(deployment, has)
        known = starting.restarts(self._look(), wanted)
        try:
            self._stage(deployment, has, wanted)
        except Refused:  # what Azure's operation says of copies that ended at their start is less than they say themselves
            ended = starting.crashed(self._look(), wanted, known)
            if ended is None:
                raise
            return ended
        return self._until_ready(wanted, deployment)

    def weigh(self, action: Action, deployment: Deployment) -> Outcome:
        present = self._present()
        after = present.named(suffix(deployment, given(deployment))) or present.of(action.release)
        before = present.of(action.before) if action.before not in ("", action.release) else None
        if after is None or not after.active:
            return Outcome(False, f"no revision has {action.release}", fault="target")
        share = round(action.share * WHOLE)
        if before is None or share == WHOLE:
            return self._weigh(present, [(after, WHOLE, LIVE)])
        if not before.active:  # a killed command had moved all callers already
            self._activate(before)
            started = self._until_ready(before.suffix, deployment)
            if not started.ok:
                return started
            present = self._present()
        return self._weigh(present, [(after, share, STAGED), (before, WHOLE - share, LIVE)])

    def shift(self, action: Action, deployment: Deployment) -> Outcome:
        moved = self.weigh(replace(action, share=1.0), deployment)
        if not moved.ok:
            return moved
        right = self._identity(action.release)
        if not right.ok:
            return right
        self._stop_others(self._present())
        return self._identity(action.release)

    def restore(self, action: Action, deployment: Deployment) -> Outcome:
        if not action.before:
            return self.discard(action.release)
        revision = self._present().of(action.before)
        if revision is None:
            return Outcome(False, f"no revision has {action.before}", fault="target")
        if not revision.active:
            self._activate(revision)
        started = self._until_ready(revision.suffix, deployment)
        if not started.ok:
            return started
        back = self._weigh(self._present(), [(revision, WHOLE, LIVE)])
        return back if not back.ok else self.discard(action.release)

    def discard(self, release: str) -> Outcome:
        """Its copies go, after its callers: to another revision that runs. An app that has nothing else goes itself."""
        present = self._look()
        found = [one for one in present.revisions if one.release == release] if present else []
        if present is not None and not present.revisions:  # Azure gave the first one up before it was a revision
            self._door.arm("DELETE", present.path, API)
        if present is None or not found:
            return Outcome()
        others = [one for one in present.revisions if one.release != release]
        if not others:
            self._door.arm("DELETE", present.path, API)
            return Outcome()
        running = max((one for one in others if one.active), key=lambda one: (one.weight, one.since), default=None)
        if running is not None and any(one.weight or one.label for one in found):
            moved = self._weigh(present, [(running, WHOLE, LIVE)])
            if not moved.ok:
                return moved
        for one in found:
            self._deactivate(one)
        self._waiting.until(lambda: self._gone(one.suffix for one in found), SETTLE_S)
        return Outcome()

    def retire(self, subjects: tuple[str, ...], kept: frozenset[str]) -> Outcome:
        """What releases that are let go had for themselves: images, secrets. Azure forgets their revisions by itself.

        kept: releases that stay.
        """
        present = self._look()
        if present is None:
            return Outcome()
        going = [one for one in present.revisions if one.release in subjects]
        staying = [one for one in present.revisions if one.release in kept]
        for one in going:
            if one.active and not one.weight:
                self._deactivate(one)
        self._drop_secrets(present, frozenset().union(*(one.secrets for one in staying)))
        return Outcome(notes=self._remove({one.image for one in going} - {one.image for one in staying}))

    def operate(self, deployment: Deployment) -> Outcome:
        """How it is operated. Its range of copies is a part of a revision: another range is another revision of the same
        release, which takes the callers over when it is ready.
        """
        has = given(deployment)
        known = self._standing().made(deployment, has)
        self._settled()
        present = self._present()
        self._judge_callers(has, known)
        self._send("PATCH", operated(deployment, has), known)
        wanted = suffix(deployment, has)
        live = present.of(deployment.release.id)
        if live is not None and live.suffix == wanted and live.active:
            return Outcome()
        started = self.stage(Action("stage", deployment.release.id), deployment)
        return started if not started.ok else self.shift(Action("shift", deployment.release.id), deployment)

    def destroy(self) -> Outcome:
        """Callers first, then what served them, then what that stood on; only what carries the project's tags.

        The registry and the storage account are those of all projects of the resource group, and stay.
        """
        place, present = self._place(), self._look()
        notes: tuple[str, ...] = ()
        if present is not None:
            self._door.arm("DELETE", present.path, API)
            notes = self._remove({one.image for one in present.revisions})
        for kind in (ENVIRONMENT, WORKSPACE, IDENTITY):
            try:
                self._standing().remove(kind, place.resource(kind, self._scope.stem))
            except Refused as no:
                if no.code != "azure-refused":
                    raise
                notes += (f"{kind.partition('/')[2]} {self._scope.stem} stays: {no.what}",)  # other apps in it, a lock on it
        return Outcome(notes=notes)

    # -- the app -------------------------------------------------------------------------------------------------------------

    def _stage(self, deployment: Deployment, has: Given, wanted: str) -> None:
        present = self._look()
        if present is None or not present.revisions:  # an app without one is what a first release left that never stood
            known = self._known(deployment, has, present)
            self._with_roles(lambda: self._first(app(deployment, has, is_first=True), known))
            if has.callers == "entra":
                self._judge_callers(has, known)
                self._send("PATCH", operated(deployment, has), known)
        else:
            self._beside(present, deployment, has, wanted)

    def _beside(self, present: Seen, deployment: Deployment, has: Given, wanted: str) -> None:
        """The revision runs, with an address and without callers, or with those that it has already."""
        revision = present.named(wanted)
        if revision is None:
            traffic = [*_traffic(self._scope, present, without=STAGED), entry(self._scope, wanted, 0, STAGED)]
            known = self._known(deployment, has, present)
            kept = app_secrets.kept(self._door, present)
            self._judge_callers(has, known)
            self._with_roles(lambda: self._send("PATCH", staged(deployment, has, kept, traffic), known))
            return
        if not revision.active:
            self._activate(revision)
        if not revision.weight and revision.label != STAGED:
            traffic = [*_traffic(self._scope, present, without=STAGED), entry(self._scope, wanted, 0, STAGED)]
            self._send("PATCH", shifted(traffic), {})

    def _first(self, body: Document, known: Mapping[str, Any]) -> None:
        """What a try before this one left is no app that callers reach: it stands in the way of one with the same revision."""
        left = self._look()
        if left is not None:
            self._door.arm("DELETE", left.path, API)
        self._send("PUT", body, known)

    def _with_roles(self, send: Callable[[], None]) -> None:
        sent(send, self._newest_role, self._waiting, self._progress)

    def _known(self, deployment: Deployment, has: Given, present: Seen | None) -> dict[str, Any]:
        known = dict(self._standing().found(deployment, has))
        return {**known, "Image": self._image(deployment, known), "OperatorKey": app_secrets.operator_key(self._door, present)}

    def _send(self, method: str, body: Document, known: Mapping[str, Any], below: str = "") -> None:
        path = seen.app_path(self._place(), self._scope) + below
        self._door.arm(method, path, API, filled(body, known))

    def _judge_callers(self, has: Given, known: Mapping[str, Any]) -> None:
        """Said before the app is opened to them; taken away where somebody else judges callers now, who was there first."""
        path = seen.app_path(self._place(), self._scope) + LOGIN
        if has.callers == "entra":
            self._send("PUT", login(has), known, LOGIN)
        elif self._door.find(path, API) is not None:
            self._door.arm("DELETE", path, API)

    def _weigh(self, present: Seen, wanted: list[tuple[Revision, int, str]]) -> Outcome:
        """Raises MlshipError for shares that do not add up."""
        traffic = shares(self._scope, [(one.suffix, weight, label) for one, weight, label in wanted])
        asked = {one.suffix: (weight, label) for one, weight, label in wanted}
        if _said(present) == asked:
            return Outcome()
        self._settled()
        self._send("PATCH", shifted(traffic), {})
        told = self._waiting.until(lambda: True if _said(self._present()) == asked else None, SETTLE_S)
        if told is None:
            return Outcome(False, f"callers are shared otherwise than was asked: {_said(self._present())}", fault="target")
        return Outcome()

    def _identity(self, release: str) -> Outcome:
        """The revision that Azure leads callers to, and its own word. A change of traffic takes a moment to be everywhere."""
        present = self._present()
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

    def _stop_others(self, present: Seen) -> None:
        others = [one for one in present.revisions if one.active and not one.weight]
        for one in others:
            self._deactivate(one)
        self._waiting.until(lambda: self._gone(one.suffix for one in others), SETTLE_S)

    def _gone(self, suffixes: Any) -> bool | None:
        present, names = self._look(), frozenset(suffixes)
        running = [one for one in present.revisions if one.suffix in names and one.copies] if present else []
        return None if running else True

    def _activate(self, revision: Revision) -> None:
        self._turn(revision, "activate")

    def _deactivate(self, revision: Revision) -> None:
        if revision.active:
            self._turn(revision, "deactivate")

    def _turn(self, revision: Revision, way: str) -> None:
        path = seen.app_path(self._place(), self._scope)
        self._door.arm("POST", f"{path}/revisions/{self._scope.short}--{revision.suffix}/{way}", API)

    # -- waiting -------------------------------------------------------------------------------------------------------------

    def _until_ready(self, wanted: str, deployment: Deployment) -> Outcome:
        """Azure is asked, and not the copies: a request of ours would keep them from being billed as idle."""
        limit = deployment.startup_timeout_s + START_MARGIN_S
        known = starting.restarts(self._look(), wanted)
        found = self._waiting.until(lambda: starting.judged(self._look(), wanted, deployment.replicas[0], known), limit)
        late = f"{deployment.release.id} is not ready after {limit:.0f} s"
        return found or Outcome(False, late, starting.reasons(self._look(), wanted))

    def _settled(self) -> None:
        """A killed command's change goes on without it."""
        self._waiting.until(lambda: None if (found := self._look()) and found.is_changing else True, CHANGE_S)

    # -- what it stands on ---------------------------------------------------------------------------------------------------

    def _standing(self) -> Standing:
        return Standing(self._door, self._place(), self._scope, self._progress)

    def _image(self, deployment: Deployment, known: Mapping[str, Any]) -> str:
        where = deployment.places.get("build.platforms", "")
        images = self._images(str(known["RegistryServer"]))
        return images.deliver(self._scope.repository, deployment.release.served.content, where)

    def _images(self, server: str) -> Images:
        return Images(self._door, server, self._layout, self._environ, self._progress, PUSH)

    def _remove(self, images: set[str]) -> tuple[str, ...]:
        """By digest, out of the project's own repository alone. What cannot be removed is said, and stops nothing: whoever may
        push need not be allowed to delete.
        """
        notes = []
        for image in sorted(images):
            server, _, rest = image.partition("/")
            repository, _, digest = rest.partition("@")
            if repository == self._scope.repository and digest:
                try:
                    self._images(server).remove(repository, [digest])
                except MlshipError as error:
                    notes.append(f"an image that nothing needs stays in {server}: {error.what}")
        return tuple(notes)

    def _drop_secrets(self, present: Seen, used: frozenset[str]) -> None:
        kept = [one for one in app_secrets.kept(self._door, present) if one["name"] in used or one["name"] == OPERATOR]
        if len(kept) < len(app_secrets.told(present)):
            self._send("PATCH", {"properties": {"configuration": {"secrets": kept}}}, {})

    def _look(self) -> Seen | None:
        return seen.look(self._door, self._place(), self._scope)

    def _present(self) -> Seen:
        """Every step but the first stands on the app."""
        found = self._look()
        assert found is not None, "stage makes the app"
        return found


def _said(present: Seen) -> dict[str, tuple[int, str]]:
    return {one.suffix: (one.weight, one.label) for one in present.revisions if one.weight or one.label}


def _traffic(scope: Scope, present: Seen, without: str) -> list[Document]:
    """Who reaches what now, as it is to be said again. without: a label that another revision is to have."""
    return [
        entry(scope, one.suffix, one.weight, "" if one.label == without else one.label)
        for one in present.revisions
        if one.weight
    ]
