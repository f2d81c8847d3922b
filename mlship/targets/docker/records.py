"""Records on a named volume at the engine, so that any machine finds them there. Implements targets.base.Records."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from mlship import __version__
from mlship.errors import Exit, MlshipError
from mlship.releases.history import History
from mlship.releases.records import Lease, LeaseHeld, LeaseLost, damaged, history_from_json, history_to_json
from mlship.targets.docker.bodies import volume_body
from mlship.targets.docker.engine import Engine
from mlship.targets.docker.holder import is_dead, origin
from mlship.targets.docker.keeping import Keeper
from mlship.targets.docker.spec import PROJECT, Scope

AskKeeper = Callable[[Mapping[str, Any]], dict[str, Any]]


class DockerRecords:
    """History and lease of one project in one environment.

    The lease runs by the clock at the engine; `expires` is told in the caller's own time.
    """

    def __init__(self, engine: Callable[[], Engine], scope: Scope, keeper: Keeper) -> None:
        self._engine = engine
        self._scope = scope
        self._keeper = keeper
        self._token = ""

    @property
    def exist(self) -> bool:
        """Whether there is a volume. Raises MlshipError for somebody else's volume of that name."""
        if self._keeper.is_open:
            return True
        labels = self._engine().volume_labels(self._scope.volume)
        if labels is not None and not self._scope.owns_object(labels):
            owner = labels.get(PROJECT)
            raise MlshipError(
                f"the volume {self._scope.volume} is " + (f"of the project {owner}" if owner else "not mlship's"),
                where=self._engine().address,
                fix="rename the project, or remove the volume if nothing needs it: docker volume rm " + self._scope.volume,
                code="foreign-volume",
            )
        return labels is not None

    def read(self) -> History | None:
        if not self.exist:
            return None
        text = self.ask({"op": "read"})["history"]
        return None if text is None else history_from_json(text.encode(), self._where)

    def commit(self, history: History, expected: int) -> None:
        self._make()
        text = history_to_json(history, __version__).decode()
        self.ask({"op": "commit", "history": text, "expected": expected, "token": self._token})

    def acquire(self, holder: str, now: float, ttl_s: float) -> Lease:
        self._make()
        token = secrets.token_hex(16)
        request = {"op": "acquire", "token": token, "holder": holder, "ttl_s": ttl_s, "origin": origin()}
        answer = self._keeper.ask(request)
        if answer.get("code") == "lease-held" and is_dead(answer.get("origin")):
            answer = self._keeper.ask({**request, "over": answer["id"]})
        self._judge(answer)
        self._token = token
        return Lease(token, holder, now + ttl_s, ttl_s)

    def holder(self, now: float) -> str:
        if not self.exist:
            return ""
        answer = self.ask({"op": "holder"})
        return "" if is_dead(answer["origin"]) else str(answer["holder"])

    def renew(self, lease: Lease, now: float) -> Lease:
        if not self.exist:
            raise LeaseLost()
        self.ask({"op": "renew", "token": lease.token})
        return replace(lease, expires=now + lease.ttl_s)

    def confirm(self) -> None:
        """Raises LeaseLost when somebody else has the lease that was taken here; nothing is known while the keeper is silent."""
        if self._token and self._is_lost():
            raise LeaseLost()

    def _is_lost(self) -> bool:
        try:
            self.ask({"op": "renew", "token": self._token})
        except LeaseLost:
            return True
        except MlshipError:  # what served before is brought back without records too
            return False
        return False

    def release(self, lease: Lease) -> None:
        self._token = ""
        if self.exist:
            self.ask({"op": "release", "token": lease.token})

    def change(self, request: Mapping[str, Any], ask: AskKeeper | None = None) -> dict[str, Any]:
        """One operation of the keeper that is refused while somebody else has the lease. Raises LeaseLost and MlshipError.

        ask: another keeper than this command's own.
        """
        self._make()
        answer = (ask or self._keeper.ask)({**request, "token": self._token})
        self._judge(answer)
        return answer

    def moved(self) -> None:
        """The front was started or is gone: the keeper is run elsewhere from now on."""
        self._keeper.close()

    @property
    def _where(self) -> str:
        return f"volume {self._scope.volume} at {self._engine().address}"

    def _make(self) -> None:
        if not self.exist:
            self._engine().create_volume(volume_body(self._scope))

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """One operation of the keeper that changes nothing. Raises MlshipError for what it refuses."""
        answer = self._keeper.ask(request)
        self._judge(answer)
        return answer

    def _judge(self, answer: Mapping[str, Any]) -> None:
        if answer["ok"]:
            return
        code, message = answer["code"], answer["message"]
        if code == "lease-held":
            raise LeaseHeld(answer["holder"], answer["seconds_left"])
        if code == "lease-lost":
            raise LeaseLost()
        where = f"{self._where}: {message}"
        if code == "damaged":
            raise damaged(where)
        if code == "newer":
            raise MlshipError(message, self._where, "upgrade mlship: pip install --upgrade mlship", code="newer-records")
        if code == "unknown":
            raise MlshipError(
                f"the keeper in the image is of another version: {message}",
                self._where,
                "the mlship that deployed it, or mlship destroy and mlship deploy, which bring the keeper of this version",
                code="old-keeper",
            )
        if code == "busy":
            raise MlshipError(
                f"{message}: a keeper or the autoscaler of {self._scope.name} was paused",
                self._where,
                f"docker ps --filter label={PROJECT}={self._scope.project} --filter status=paused; unpause or remove it",
                exit=Exit.TIMED_OUT,
                code="keeper-busy",
            )
        if code == "front-refused":
            details = [str(line) for line in answer.get("details", ())]
            raise MlshipError(
                f"the front does not take its configuration: {message}",
                f"{self._scope.front} at {self._engine().address}",
                "mlship logs, mlship status --why",
                exit=Exit.VERIFY_FAILED,
                code=code,
                details=details,
            )
        raise MlshipError(
            f"the records could not be written: {message}", self._where, "docker system df", exit=Exit.UNREACHABLE, code=code
        )
