"""Whom callers reach: the alias, its address, and who may ask there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mlship.targets.aws.door import Door, Refused
from mlship.targets.aws.lambdas import releasing, seen
from mlship.targets.aws.lambdas.naming import LIVE, function_name
from mlship.targets.aws.lambdas.seen import ABSENT, Seen, Version
from mlship.targets.aws.scope import Scope
from mlship.targets.base import OPERATOR_KEY, Outcome

TINY = 1e-6


def guard(told: Mapping[str, Any]) -> dict[str, str]:
    """Lambda refuses the change when somebody made another one since it was looked at."""
    return {"RevisionId": str(told["RevisionId"])} if told.get("RevisionId") else {}


class Callers:
    """Of one function."""

    def __init__(self, door: Door, scope: Scope) -> None:
        self._door = door
        self._scope = scope
        self._name = function_name(scope)

    def lead(self, version: Version, weights: Mapping[str, float], *, public: bool) -> Outcome:
        """Callers reach this version, and the other one with its weight. What the alias then says is compared.

        Never does everybody reach a version whose server judges nobody: the address is closed before callers are led to one, opened
        after they have left the last one, and left as it is while two versions share them.
        """
        are_judged = self.judge((version.number, *weights))
        if not are_judged and self._present().live is not None:
            self.open(public=False)
        self.point(LIVE, version.number, weights)
        if not (weights and are_judged and self._present().url):
            self.open(public=public and are_judged)
        present = self._present()
        found = present.live
        if found is None or found.version != version.number or not _alike(found.weights, weights):
            return Outcome(False, f"the alias {LIVE} leads elsewhere than it was told: {found}", fault="target")
        return Outcome()

    def judge(self, numbers: Iterable[str]) -> bool:
        """Whether each of these versions has a server that judges its callers: it is handed mlship's own key then."""
        told = [seen.configuration(self._door, self._name, number) or {} for number in numbers]
        return all(
            releasing.REFERENCE + OPERATOR_KEY in ((one.get("Environment") or {}).get("Variables") or {}) for one in told
        )

    def point(self, name: str, version: str, weights: Mapping[str, float]) -> None:
        present = self._present()
        found = present.live if name == LIVE else present.staged
        if found is not None and found.version == version and _alike(found.weights, weights):
            return
        body = releasing.alias(self._scope, name, version, weights)
        if found is None:
            self._door.call("lambda", "create_alias", **body)
        else:
            self._door.call("lambda", "update_alias", **body, **guard({"RevisionId": found.revision}))

    def unpoint(self, name: str) -> None:
        self._door.call("lambda", "delete_alias", FunctionName=self._name, Name=name)

    def open(self, *, public: bool) -> None:
        """The address of the function, and who may call it."""
        wanted = releasing.url_config(self._scope, public=public)
        place = {"FunctionName": self._name, "Qualifier": LIVE}
        try:
            told = self._door.call("lambda", "get_function_url_config", **place)
        except Refused as no:
            if no.said != ABSENT:
                raise
            told = {}
        if not told:
            self._door.call("lambda", "create_function_url_config", **wanted)
        elif told["AuthType"] != wanted["AuthType"]:
            self._door.call("lambda", "update_function_url_config", **wanted)
        self._permit(releasing.permissions(self._scope, public=public), place)

    def _permit(self, wanted: list[Any], place: Mapping[str, str]) -> None:
        """Statements of ours that are not wanted go first: nobody may call what is closed again."""
        present = self._statements(place)
        asked = {one["StatementId"] for one in wanted}
        for name in releasing.PUBLIC_STATEMENTS:
            if name in present and name not in asked:
                self._door.call("lambda", "remove_permission", **place, StatementId=name)
        for one in wanted:
            if one["StatementId"] not in present:
                self._door.call("lambda", "add_permission", **one)

    def _statements(self, place: Mapping[str, str]) -> set[str]:
        try:
            text = self._door.call("lambda", "get_policy", **place)["Policy"]
        except Refused as no:
            if no.said == ABSENT:
                return set()
            raise
        return {name for name in releasing.PUBLIC_STATEMENTS if f'"{name}"' in text}

    def close(self) -> None:
        """Nobody is led anywhere."""
        try:
            self._door.call("lambda", "delete_function_url_config", FunctionName=self._name, Qualifier=LIVE)
        except Refused as no:
            if no.said != ABSENT:
                raise
        self.unpoint(LIVE)

    def _present(self) -> Seen:
        found = seen.look(self._door, self._scope)
        assert found is not None, "deliver makes the foundation"
        return found


def _alike(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    names = {name for name, weight in (*one.items(), *other.items()) if weight}
    return all(abs(one.get(name, 0.0) - other.get(name, 0.0)) < TINY for name in names)
