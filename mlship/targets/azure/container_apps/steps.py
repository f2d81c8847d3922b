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
from mlship.targets.azure.container_apps import app_secrets, names, seen, starting
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
    shifted,
    staged,
    suffix,
)
from mlship.targets.azure.container_apps.running import App
from mlship.targets.azure.container_apps.seen import API, Seen
from mlship.targets.azure.container_apps.standing import Standing
from mlship.targets.azure.delivery import Images
from mlship.targets.azure.door import Door
from mlship.targets.azure.filling import Document
from mlship.targets.azure.refusal import Refused
from mlship.targets.azure.scope import Place, Scope
from mlship.targets.azure.waiting import Waiting
from mlship.targets.base import Action, Answer, Deployment, Outcome, Request

LOGIN = "/authConfigs/current"


class Steps:
    """Implements the actions of targets.base.Action for one project in one environment.

    asks: a host and a request. knows: whether this machine knows an address for the name of an app. confirm: as of App.
    """

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
        knows: Callable[[str], bool],
        confirm: Callable[[], None],
    ) -> None:
        self._door = door
        self._place = place
        self._scope = scope
        self._layout = layout
        self._environ = environ
        self._waiting = waiting
        self._progress = progress
        self._app = App(door, place, scope, waiting, asks, confirm)
        self._knows = knows
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
        has = given(deployment)
        known = standing.made(deployment, has)
        self._newest_role = standing.newest_role
        nameless = self._nameless(has)
        if nameless:
            return Outcome(False, "nobody here knows the names of its apps yet", nameless, fault="target")
        self._image(deployment, known)
        return Outcome()

    def stage(self, action: Action, deployment: Deployment) -> Outcome:
        has = given(deployment)
        self._app.settled()
        wanted = suffix(deployment, has)
        known = starting.restarts(self._app.look(), wanted)
        try:
            notes = self._without_lost_secrets()
            self._stage(deployment, has, wanted)
        except Refused:  # what Azure's operation says of copies that ended at their start is less than they say themselves
            ended = starting.crashed(self._app.look(), wanted, known)
            if ended is None:
                raise
            return ended
        ready = self._app.until_ready(wanted, deployment)
        return replace(ready, notes=(*ready.notes, *notes))

    def weigh(self, action: Action, deployment: Deployment) -> Outcome:
        present = self._app.present()
        after = present.named(suffix(deployment, given(deployment))) or present.of(action.release)
        before = present.of(action.before) if action.before not in ("", action.release) else None
        if after is None or not after.active:
            return Outcome(False, f"no revision has {action.release}", fault="target")
        share = round(action.share * WHOLE)
        if before is None or share == WHOLE:
            return self._app.weigh(present, [(after, WHOLE, LIVE)])
        if not before.active:  # a killed command had moved all callers already
            self._app.activate(before)
            started = self._app.until_ready(before.suffix, deployment)
            if not started.ok:
                return started
            present = self._app.present()
        return self._app.weigh(present, [(after, share, STAGED), (before, WHOLE - share, LIVE)])

    def shift(self, action: Action, deployment: Deployment) -> Outcome:
        moved = self.weigh(replace(action, share=1.0), deployment)
        if not moved.ok:
            return moved
        right = self._app.identity(action.release)
        if not right.ok:
            return right
        self._app.stop_others()
        return self._app.identity(action.release)

    def restore(self, action: Action, deployment: Deployment) -> Outcome:
        if not action.before:
            return self.discard(action.release)
        revision = self._app.present().of(action.before)
        if revision is None:
            return Outcome(False, f"no revision has {action.before}", fault="target")
        if not revision.active:
            self._app.activate(revision)
        started = self._app.until_ready(revision.suffix, deployment)
        if not started.ok:
            return started
        back = self._app.weigh(self._app.present(), [(revision, WHOLE, LIVE)])
        return back if not back.ok else self.discard(action.release)

    def discard(self, release: str) -> Outcome:
        """Its copies go, after its callers: to another revision that runs. An app that has nothing else goes itself."""
        present = self._app.look()
        found = [one for one in present.revisions if one.release == release] if present else []
        if present is not None and not present.revisions:  # Azure gave the first one up before it was a revision
            self._app.delete()
        if present is None or not found:
            return Outcome()
        others = [one for one in present.revisions if one.release != release]
        if not others:
            self._app.delete()
            return Outcome()
        running = max((one for one in others if one.active), key=lambda one: (one.weight, one.since), default=None)
        if running is not None and any(one.weight or one.label for one in found):
            moved = self._app.weigh(present, [(running, WHOLE, LIVE)])
            if not moved.ok:
                return moved
        self._app.stop(found)
        return Outcome()

    def retire(self, subjects: tuple[str, ...], kept: frozenset[str]) -> Outcome:
        """What releases that are let go had for themselves: images, secrets. Azure forgets their revisions by itself.

        kept: releases that stay.
        """
        present = self._app.look()
        if present is None:
            return Outcome()
        going = [one for one in present.revisions if one.release in subjects]
        staying = [one for one in present.revisions if one.release in kept]
        for one in going:
            if one.active and not one.weight:
                self._app.deactivate(one)
        self._drop_secrets(present, frozenset().union(*(one.secrets for one in staying)))
        return Outcome(notes=self._remove({one.image for one in going} - {one.image for one in staying}))

    def operate(self, deployment: Deployment) -> Outcome:
        """How it is operated. Its range of copies is a part of a revision: another range is another revision of the same
        release, which takes the callers over when it is ready.
        """
        has = given(deployment)
        known = self._standing().made(deployment, has)
        self._app.settled()
        notes = self._without_lost_secrets()
        present = self._app.present()
        self._judge_callers(has, known)
        self._app.send("PATCH", operated(deployment, has), known)
        wanted = suffix(deployment, has)
        live = present.of(deployment.release.id)
        if live is not None and live.suffix == wanted and live.active:
            return Outcome(notes=notes)
        started = self.stage(Action("stage", deployment.release.id), deployment)
        return started if not started.ok else self.shift(Action("shift", deployment.release.id), deployment)

    def destroy(self) -> Outcome:
        """Callers first, then what served them, then what that stood on; only what carries the project's tags.

        The registry and the storage account are those of all projects of the resource group, and stay.
        """
        place, present = self._place(), self._app.look()
        notes: tuple[str, ...] = ()
        if present is not None:
            self._app.delete()
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
        present = self._app.look()
        if present is None or not present.revisions:  # an app without one is what a first release left that never stood
            known = self._known(deployment, has, present)
            self._with_roles(lambda: self._first(app(deployment, has, is_first=True), known))
            if has.callers == "entra":
                self._judge_callers(has, known)
                self._app.send("PATCH", operated(deployment, has), known)
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
            self._with_roles(lambda: self._app.send("PATCH", staged(deployment, has, kept, traffic), known))
            return
        if not revision.active:
            self._app.activate(revision)
        if not revision.weight and revision.label != STAGED:
            traffic = [*_traffic(self._scope, present, without=STAGED), entry(self._scope, wanted, 0, STAGED)]
            self._app.send("PATCH", shifted(traffic), {})

    def _first(self, body: Document, known: Mapping[str, Any]) -> None:
        """What a try before this one left is no app that callers reach: it stands in the way of one with the same revision."""
        left = self._app.look()
        if left is not None:
            self._app.delete()
        self._app.send("PUT", body, known)

    def _with_roles(self, send: Callable[[], None]) -> None:
        sent(send, self._newest_role, self._waiting, self._progress)

    def _known(self, deployment: Deployment, has: Given, present: Seen | None) -> dict[str, Any]:
        known = dict(self._standing().found(deployment, has))
        return {**known, "Image": self._image(deployment, known), "OperatorKey": app_secrets.operator_key(self._door, present)}

    def _judge_callers(self, has: Given, known: Mapping[str, Any]) -> None:
        """Said before the app is opened to them; taken away where somebody else judges callers now, who was there first."""
        path = seen.app_path(self._place(), self._scope) + LOGIN
        if has.callers == "entra":
            self._app.send("PUT", login(has), known, LOGIN)
        elif self._door.find(path, API) is not None:
            self._app.delete(LOGIN)

    # -- what it stands on ---------------------------------------------------------------------------------------------------

    def _standing(self) -> Standing:
        return Standing(self._door, self._place(), self._scope, self._progress, self._app.confirm)

    def _nameless(self, has: Given) -> tuple[str, ...]:
        """What makes the names of an environment in a network of one's own known; nothing where this machine knows them."""
        if has.callers != "network":
            return ()
        path = self._place().resource(ENVIRONMENT, has.environment or self._scope.stem)
        said = (found_or_denied(self._door, path, APIS[ENVIRONMENT]) or {}).get("properties") or {}
        domain = str(said.get("defaultDomain") or "")
        if not domain or self._knows(f"{self._scope.short}.{domain}"):
            return ()
        return names.commands(path, has.subnet or names.subnet_of(said), domain, str(said.get("staticIp") or ""))

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

    def _without_lost_secrets(self) -> tuple[str, ...]:
        """What a kept release had and Key Vault does not give any more stands in the way of each change: it goes, and that is said."""
        present = self._app.look()
        lost = app_secrets.lost(self._door, present) if present else {}
        if not lost or present is None:
            return ()
        kept = [one for one in app_secrets.kept(self._door, present) if one["name"] not in lost]
        self._app.send("PATCH", {"properties": {"configuration": {"secrets": kept}}}, {})
        users = ((one.release, lost[name]) for one in present.revisions for name in sorted(one.secrets & set(lost)))
        return tuple(f"{release} cannot be served again: Key Vault does not give {url} any more" for release, url in users)

    def _drop_secrets(self, present: Seen, used: frozenset[str]) -> None:
        kept = [one for one in app_secrets.kept(self._door, present) if one["name"] in used or one["name"] == OPERATOR]
        if len(kept) < len(app_secrets.told(present)):
            self._app.send("PATCH", {"properties": {"configuration": {"secrets": kept}}}, {})


def _traffic(scope: Scope, present: Seen, without: str) -> list[Document]:
    """Who reaches what now, as it is to be said again. without: a label that another revision is to have."""
    return [
        entry(scope, one.suffix, one.weight, "" if one.label == without else one.label)
        for one in present.revisions
        if one.weight
    ]
