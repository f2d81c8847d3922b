"""Another front in the place of the one that runs, for the security updates of HAProxy and of what it is made with.

Two cannot publish one port: it is closed from the end of the one until the other listens. So everything that can be done before
is done before, and nothing is asked in between. Each step that a killed command ends at is one that Front.ensure goes on from.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from mlship.errors import Exit, MlshipError
from mlship.oci.image import FRONT_HAS, FRONT_LABEL, FRONT_MADE, FRONT_PACKAGES
from mlship.targets.base import FrontFacts
from mlship.targets.docker.bodies import front_body, reading_body
from mlship.targets.docker.engine import Container, EngineImage, Network
from mlship.targets.docker.front import POLL_S, Front, reference
from mlship.targets.docker.network import front_address
from mlship.targets.docker.seen import Labelled

READ_S = 20.0
# What is being answered when the front ends gets this long; every other caller waits for it before a closed port.
LAST_ANSWERS_S = 1


def front_facts(of: Labelled | None) -> FrontFacts | None:
    """Of a container or an image. Pure."""
    if of is None:
        return None
    labels = of.labels
    return FrontFacts(*(labels.get(name, "") for name in (FRONT_HAS, FRONT_PACKAGES, FRONT_MADE, FRONT_LABEL)))


@dataclass(frozen=True)
class Renewal:
    """answers: whether the live release is reached through the front now. patience_s: how long that may take."""

    front: Front
    answers: Callable[[], bool]
    patience_s: float = 20.0

    def run(self, image: EngineImage, network: Network) -> float:
        """How long the port was closed, in seconds. Raises MlshipError; then the former front serves as before."""
        front = self.front
        former = front.container()
        assert former is not None and former.published is not None, "the caller has looked"
        front.remove_others()
        self._read_by(image)
        body = front_body(front.scope, former.published, reference(image), image.python)
        front.records.confirm()
        made = front.engine.create(front.scope.next_front, body)
        front.engine.connect(network.name, made, front_address(network.subnet))
        front.read()  # counts what was answered until now
        front.records.confirm()
        began = time.monotonic()
        front.engine.stop(former.id, LAST_ANSWERS_S)
        try:
            front.engine.start(made)
            closed_s = time.monotonic() - began
            front.engine.rename(former.id, front.scope.former_front)
            front.engine.rename(made, front.scope.front)
            front.await_running(made)
            self._await_answer(made)
        except MlshipError as error:
            cause = self._cause(error, made)
            self._back(former, made)
            raise cause from error
        front.remove_others()
        return closed_s

    def _read_by(self, image: EngineImage) -> None:
        """Before anything is closed: its HAProxy takes the configuration as it is now."""
        front, body = self.front, reading_body(self.front.scope, image.id)
        made = front.engine.create(front.scope.reading_front, body)
        try:
            front.engine.start(made)
            deadline = time.monotonic() + READ_S
            while (seen := front.engine.container(made)) is not None and seen.is_running and time.monotonic() < deadline:
                front.sleep(POLL_S)
            if seen is None or seen.state != "exited" or seen.exit_code:
                said = tuple(text for _, text in front.engine.logs(made, 8))
                raise self._refused("the new front does not take the configuration of the one that runs", said)
        finally:
            front.engine.remove(made)

    def _await_answer(self, made: str) -> None:
        deadline = time.monotonic() + self.patience_s
        while not self.answers():
            if time.monotonic() > deadline:
                said = tuple(text for _, text in self.front.engine.logs(made, 8))
                raise self._refused("the live release is not reached through the new front", said)
            self.front.sleep(POLL_S)

    def _cause(self, error: MlshipError, made: str) -> MlshipError:
        """An engine words the end of a container in many ways, depending on the call that meets it first."""
        seen = self.front.engine.container(made)
        if seen is None or not seen.restarts:
            return error
        said = tuple(text for _, text in self.front.engine.logs(made, 8))
        return self._refused("the new front ends right after its start", said)

    def _back(self, former: Container, made: str) -> None:
        front = self.front
        front.engine.remove(made)
        front.engine.rename(former.id, front.scope.front)
        front.engine.start(former.id)
        front.await_running(former.id)

    def _refused(self, what: str, said: tuple[str, ...]) -> MlshipError:
        where = f"container {self.front.scope.front} at {self.front.engine.address}"
        fix = "the front that ran serves on; report it with the lines above"
        return MlshipError(what, where, fix, exit=Exit.VERIFY_FAILED, code="front-failed", details=said)
