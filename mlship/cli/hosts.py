"""The same command on each engine of `targets.docker.hosts`, and one answer of all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.cli.failures import error_text
from mlship.errors import MlshipError

if TYPE_CHECKING:
    from mlship.flows.context import Where


def on_each_host(call: Call, name: str, act: Callable[[Where], Answer]) -> Answer:
    """Asks one after the other; the first failure ends it. Where mlship.yaml names no hosts, the answer is as it always was."""
    from mlship.flows.hosts import in_turn, places

    found = places(call.context, call.where(name))
    hosts = tuple(place.host for place in found)
    return together(hosts, in_turn(hosts, lambda position: act(found[position])))


def on_every_host(call: Call, name: str, act: Callable[[Where], Answer]) -> Answer:
    """As on_each_host, but a host that fails has its reason in the place of its answer, and the others are asked too."""
    from mlship.flows.hosts import places

    found = places(call.context, call.where(name))
    if len(found) == 1:
        return on_each_host(call, name, act)
    return together([place.host for place in found], [_answer_or_reason(place, act) for place in found])


def _answer_or_reason(place: Where, act: Callable[[Where], Answer]) -> Answer:
    try:
        return act(place)
    except MlshipError as error:
        return Answer(error_text(error), {"error": {"code": error.code, "message": error.what}}, exit=int(error.exit))


def together(hosts: Sequence[str], answers: Sequence[Answer]) -> Answer:
    """One answer: each host's own below its name. exit: the first that is not 0."""
    if len(answers) == 1 and not hosts[0]:
        return answers[0]
    return Answer(
        text="\n".join(_below(host, answer.text) for host, answer in zip(hosts, answers, strict=True) if answer.text),
        payload={"hosts": [_payload(host, answer) for host, answer in zip(hosts, answers, strict=True)]},
        brief="\n".join(answer.brief for answer in answers if answer.brief),
        exit=next((answer.exit for answer in answers if answer.exit), 0),
    )


def _below(host: str, text: str) -> str:
    return "\n".join([host, *(f"  {line}" for line in text.split("\n"))])


def _payload(host: str, answer: Answer) -> dict[str, Any]:
    return {"host": host, "exit": int(answer.exit), **answer.payload}
