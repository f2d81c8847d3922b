"""The steps of a release at Lambda. Each looks first, changes what is not so yet, and looks again: none believes a status alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mlship.errors import Finding
from mlship.progress import Progress
from mlship.targets.aws import stack, stack_changes
from mlship.targets.aws.change_sets import Wanted
from mlship.targets.aws.delivery import Images
from mlship.targets.aws.documents import filled
from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.given import Given, given
from mlship.targets.aws.lambdas import releasing, seen
from mlship.targets.aws.lambdas.callers import Callers, guard
from mlship.targets.aws.lambdas.copies import Copies
from mlship.targets.aws.lambdas.foundation import environment_tags, foundation
from mlship.targets.aws.lambdas.keeping import kept
from mlship.targets.aws.lambdas.naming import LIVE, STAGED, function_name
from mlship.targets.aws.lambdas.seen import ABSENT, Seen
from mlship.targets.aws.scope import Scope
from mlship.targets.aws.stack import Waiting
from mlship.targets.base import Action, Deployment, Outcome

PLATFORMS = {"x86_64": "linux/amd64", "arm64": "linux/arm64"}
READY_S = 300.0  # Lambda reads an image once for all copies, which takes seconds, and minutes for the largest
SETTLE_S = 60.0
ROLE_S = 30.0
WHOLE = 1.0


class Steps:
    """Implements the actions of targets.base.Action for one project in one environment."""

    def __init__(self, door: Door, scope: Scope, images: Images, waiting: Waiting, progress: Progress) -> None:
        self._door = door
        self._scope = scope
        self._name = function_name(scope)
        self._images = images
        self._waiting = waiting
        self._progress = progress
        self._callers = Callers(door, scope)
        self._copies = Copies(door, scope, waiting)

    def deliver(self, deployment: Deployment) -> Outcome:
        """The foundation stands, the registry has the image, and the release is a version of the function."""
        has = given(deployment)
        made = self._found(deployment, has)
        if not made.ok:
            return made
        present = self._present()
        self._refuse_foreign(present)
        if present.of(deployment.release.id) is not None:
            self._copies.allow(deployment)
            return Outcome()
        content = deployment.release.served.content
        reference = self._images.deliver(present.outputs["Repository"], content, PLATFORMS[has.arch])
        known = {**present.outputs, "Image": reference}
        ready = self._latest(present, deployment, has, known)
        if not ready.ok:
            return ready
        self._copies.allow(deployment)
        return self._published(deployment)

    def stack_changes(self, deployment: Deployment) -> tuple[Finding, ...]:
        """What the stack becomes, for the plan."""
        wanted = self._wanted(deployment, given(deployment))
        return tuple(stack_changes.findings(self._door, wanted, self._waiting))

    def stage(self, action: Action, deployment: Deployment) -> Outcome:
        """The version can be asked, its copies are kept ready where that is wanted, and no caller reaches it: an alias of its own says
        that it is the next one.
        """
        present = self._present()
        version = present.of(action.release)
        if version is None:
            return Outcome(False, f"the function has no version of {action.release}", fault="target")
        ready = self._until(version.number)
        if ready.ok:
            ready = self._copies.beside(version.number, deployment)
        if not ready.ok:
            return ready
        self._callers.point(STAGED, version.number, {})
        return Outcome()

    def weigh(self, action: Action, deployment: Deployment) -> Outcome:
        present = self._present()
        after, before = present.of(action.release), present.of(action.before) if action.before else None
        if after is None:
            return Outcome(False, f"the function has no version of {action.release}", fault="target")
        if before is None or before.number == after.number or action.share >= WHOLE:
            return self._callers.lead(after, {}, public=releasing.is_public(deployment))
        return self._callers.lead(before, {after.number: action.share}, public=releasing.is_public(deployment))

    def shift(self, action: Action, deployment: Deployment) -> Outcome:
        present = self._present()
        version = present.of(action.release)
        if version is None:
            return Outcome(False, f"the function has no version of {action.release}", fault="target")
        moved = self._callers.lead(version, {}, public=releasing.is_public(deployment))
        if moved.ok and present.staged is not None:
            self._callers.unpoint(STAGED)
        if moved.ok:
            self._copies.alone(version.number, deployment)
            self._copies.cap(deployment)
        return moved

    def restore(self, action: Action, deployment: Deployment, taken: Deployment, *, was_public: bool) -> Outcome:
        """deployment: operated as before; taken: as what is taken back was to be. was_public: as the last release that was committed
        had it.
        """
        if not action.before:
            return self.discard(action.release)
        version = self._present().of(action.before)
        if version is None:
            return Outcome(False, f"the function has no version of {action.before}", fault="target")
        back = self._callers.lead(version, {}, public=was_public)
        gone = back if not back.ok else self.discard(action.release)
        if gone.ok:
            self._copies.back(version.number, deployment, taken)
        return gone

    def discard(self, release: str, live: str = "", *, was_public: bool = False) -> Outcome:
        """No alias leads to it: callers go to the other release where that has some, else to the live one. Where nothing is live nobody
        is led anywhere any more. was_public: as the live one has it.
        """
        present = self._look()
        if present is None:
            return Outcome()
        if present.staged is not None and present.release(present.staged.version) == release:
            self._callers.unpoint(STAGED)
        gone = self._led_elsewhere(present, release, live, was_public=was_public)
        version = present.of(release)
        if gone.ok and version is not None and release != live:
            self._copies.leave([version.number] if self._copies.has(version.number) else [])
        return gone

    def _led_elsewhere(self, present: Seen, release: str, live: str, *, was_public: bool) -> Outcome:
        alias = present.live
        if alias is None or release not in {present.release(number) for number in alias.shares}:
            return Outcome()
        others = [number for number in alias.shares if present.release(number) != release]
        again = present.of(live) if live != release else None
        if not others and again is not None:
            return self._callers.lead(again, {}, public=was_public)
        if others:
            self._callers.point(LIVE, others[0], {})
        else:
            self._callers.close()
        return Outcome()

    def retire(self, subjects: tuple[str, ...], contents: frozenset[str]) -> Outcome:
        """Versions of releases that are let go, and their images where no other release has the same content.

        contents: those that stay. What an alias leads to is never deleted.
        """
        present = self._look()
        if present is None:
            return Outcome()
        led = {number for alias in (present.live, present.staged) if alias for number in alias.shares}
        self._copies.leave_but(led)
        going = [
            version for version in present.versions.values() if version.of.release in subjects and version.number not in led
        ]
        for version in going:
            self._forget(version.number)
        stay = contents | {version.of.content for version in present.versions.values() if version not in going}
        gone = {version.of.content for version in going} - stay
        return Outcome(notes=self._images.remove(present.outputs["Repository"], gone) if gone else ())

    def operate(self, deployment: Deployment) -> Outcome:
        """Only how it is operated: no version is made for it."""
        made = self._found(deployment, given(deployment))
        if not made.ok:
            return made
        present = self._present()
        version = present.of(deployment.release.id)
        if version is None:
            return Outcome(False, f"the function has no version of {deployment.release.id}", fault="target")
        self._copies.lower(deployment)  # before the cap, which may not be below what is kept ready
        self._copies.cap(deployment)
        self._copies.alone(version.number, deployment)
        self._label(present.function, environment_tags(deployment))
        if present.live is not None:
            self._callers.open(public=releasing.is_public(deployment) and self._callers.judge(present.live.shares))
        return Outcome()

    def kept_ready(self, number: str) -> int:
        """How many copies of a version wait for callers."""
        return self._copies.count(number)

    def destroy(self) -> Outcome:
        """Callers first, then what served them, then what that stood on."""
        present = self._look()
        if present is not None and present.function:
            self._refuse_foreign(present)
            if present.live is not None:
                self._callers.close()
            self._door.call("lambda", "delete_function", FunctionName=self._name)
        return stack.delete(self._door, self._scope.stem, self._waiting)

    # -- the foundation and the function -----------------------------------------------------------------------------------

    def _found(self, deployment: Deployment, has: Given) -> Outcome:
        self._progress.step("stack", self._scope.stem)
        return stack.converge(self._door, self._wanted(deployment, has), self._waiting)

    def _wanted(self, deployment: Deployment, has: Given) -> Wanted:
        template = foundation(deployment, has, kept(self._door, self._scope, deployment))
        return Wanted(self._scope.stem, template, {}, self._scope.tags("foundation", deployment.labels))

    def _look(self) -> Seen | None:
        return seen.look(self._door, self._scope)

    def _present(self) -> Seen:
        found = self._look()
        assert found is not None, "deliver makes the foundation"
        return found

    def _refuse_foreign(self, present: Seen) -> None:
        """Raises MlshipError for a function of this name that somebody else has made."""
        if present.function:
            tags = self._door.call("lambda", "list_tags", Resource=present.function).get("Tags") or {}
            self._scope.refuse_foreign(f"the function {self._name}", tags)

    def _latest(self, present: Seen, deployment: Deployment, has: Given, known: Mapping[str, str]) -> Outcome:
        """What the next version will be is this release: its configuration, then its image. Each change waits for the last one."""
        if not present.function:
            self._create(filled(releasing.create_function(deployment, has), known))
            return self._until("")
        ready = self._until("")
        if not ready.ok:
            return ready
        wanted = filled(releasing.update_configuration(deployment, has), known)
        told = seen.configuration(self._door, self._name) or {}
        if _differs(wanted, told):
            self._door.call("lambda", "update_function_configuration", **wanted, **guard(told))
            ready = self._until("")
            if not ready.ok:
                return ready
        code = filled(releasing.update_code(deployment, has), known)
        whole = self._door.call("lambda", "get_function", FunctionName=self._name)
        if (
            whole["Code"].get("ImageUri") != code["ImageUri"]
            or whole["Configuration"].get("Architectures") != code["Architectures"]
        ):
            self._door.call("lambda", "update_function_code", **code, **guard(whole["Configuration"]))
        return self._until("")

    def _create(self, wanted: Mapping[str, Any]) -> None:
        """A role that was made a moment ago cannot be taken on everywhere yet: Lambda then refuses it as a wrong value."""
        refused: list[Refused] = []

        def made() -> bool | None:
            try:
                self._door.call("lambda", "create_function", **wanted)
            except Refused as no:
                if no.said != "InvalidParameterValueException":
                    raise
                refused.append(no)
                return None
            return True

        if not self._waiting.until(made, ROLE_S):
            raise refused[-1]

    def _published(self, deployment: Deployment) -> Outcome:
        """What is published is what was looked at: RevisionId refuses the version when somebody changed the function since."""
        told = seen.configuration(self._door, self._name) or {}
        wanted = releasing.publish_version(deployment)
        if told.get("Description") != wanted["Description"]:
            return Outcome(False, f"somebody else changes {self._name} at the same time", fault="target")
        made = self._door.call("lambda", "publish_version", **wanted, **guard(told))
        found = self._waiting.until(lambda: self._present().of(deployment.release.id), SETTLE_S)
        if found is None:
            return Outcome(
                False, f"version {made['Version']} of {self._name} is not of {deployment.release.id}", fault="target"
            )
        return Outcome()

    def _until(self, version: str) -> Outcome:
        """The function, or one version of it, is what it was made to be, and can be called."""

        def look() -> Outcome | None:
            told = seen.configuration(self._door, self._name, version)
            if told is None:
                return None  # what Lambda tells is a moment old
            if told.get("State") == "Failed" or told.get("LastUpdateStatus") == "Failed":
                reason = told.get("StateReason") or told.get("LastUpdateStatusReason") or ""
                code = told.get("StateReasonCode") or told.get("LastUpdateStatusReasonCode") or ""
                return Outcome(False, f"Lambda gave {self._name} up ({code}): {reason}", fault=_fault(str(code)))
            is_ready = told.get("State", "Active") in ("Active", "Inactive")  # Inactive: nobody asked for weeks; it comes back
            return Outcome() if is_ready and told.get("LastUpdateStatus", "Successful") == "Successful" else None

        late = Outcome(
            False, f"{self._name} is not ready after {READY_S:.0f} s; the same command goes on with it", fault="target"
        )
        return self._waiting.until(look, READY_S) or late

    def _label(self, function: str, wanted: Mapping[str, str]) -> None:
        present = self._door.call("lambda", "list_tags", Resource=function).get("Tags") or {}
        gone = sorted(name for name in present if name not in wanted and not name.startswith("aws:"))
        if {name: present.get(name) for name in wanted} != dict(wanted):
            self._door.call("lambda", "tag_resource", Resource=function, Tags=dict(wanted))
        if gone:
            self._door.call("lambda", "untag_resource", Resource=function, TagKeys=gone)

    def _forget(self, version: str) -> None:
        try:
            self._door.call("lambda", "delete_function", FunctionName=self._name, Qualifier=version)
        except Refused as no:
            if no.said != ABSENT:  # another command did it meanwhile
                raise


def _differs(wanted: Mapping[str, Any], told: Mapping[str, Any]) -> bool:
    """Whether the function has to be told. Of what it says about its network only what we say is looked at."""
    for key, value in wanted.items():
        present = told.get(key)
        if isinstance(value, Mapping) and isinstance(present, Mapping):
            present = {name: present.get(name) for name in value}
        if key != "FunctionName" and present != value:
            return True
    return False


def _fault(code: str) -> Any:
    """An image that Lambda cannot take is the release's; a network, a role or a key is not."""
    return "release" if code.startswith(("InvalidImage", "FunctionError")) else "target"
