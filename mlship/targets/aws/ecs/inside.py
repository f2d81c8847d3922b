"""Asking tasks at the addresses that they have in their network, where this machine has a way there.

Where it has none nobody is asked, and the answer says so; what it can say then is what ECS knows of the tasks: of which release they are,
and whether each is well by a check of its own, which asks its server for release and predictions (health.py).
"""

from __future__ import annotations

from mlship.targets.aws.door import Door
from mlship.targets.aws.ecs import seen
from mlship.targets.aws.ecs.asking import ask
from mlship.targets.aws.ecs.front import PORT
from mlship.targets.aws.ecs.seen import Seen, Task
from mlship.targets.aws.scope import Scope
from mlship.targets.base import Answer, Request

CONNECT_S = 3.0  # within a network it takes milliseconds
OURS = "x-mlship-release"  # a header of each answer of our servers; an address of a private network is somebody else's in another one


class Inside:
    """Of one project. Once there was no way to a task that is well, it is not looked for again; one that is not may be nowhere itself."""

    def __init__(self, door: Door, scope: Scope) -> None:
        self._door = door
        self._scope = scope
        self._no_way = ""

    def ask(self, present: Seen, request: Request) -> Answer:
        """`replica` names a task; else one of the live release is asked."""
        tasks = seen.tasks(self._door, self._scope, present)
        live = present.live
        if request.replica:
            chosen = [task for task in tasks if task.name == request.replica]
        else:
            chosen = [task for task in tasks if live is not None and task.release == live.release]
        task = max(chosen, key=lambda one: (one.is_well, bool(one.address)), default=None)
        if task is None:
            return Answer(0, b"nothing is running")
        no_way = self._no_way
        if task.address and not no_way:
            answer = ask(f"http://{task.address}:{PORT}", request, {}, connect_s=CONNECT_S)
            if not answer.is_unreached and (OURS in answer.headers or not answer.status):
                return answer
            no_way = _words(answer, task)
            self._no_way = no_way if task.is_well else ""
        well = [task] if request.replica else tasks
        return Answer(0, (no_way or "the task has no address").encode(), is_unreached=True, vouched=_vouched(well, task))


def _vouched(tasks: list[Task], task: Task) -> str:
    """The release of the task, where every one of these is of it, and well."""
    return task.release if all(one.is_well and one.release == task.release for one in tasks) else ""


def _words(answer: Answer, task: Task) -> str:
    if answer.status:
        return f"something else answers at {task.address} from here with {answer.status}; this machine is not in its network"
    known = (
        f"this machine is not in the network of {task.address}"
        if task.is_well
        else f"{task.address} is not well by its own check"
    )
    return f"{answer.body.decode(errors='replace')}; {known}"
