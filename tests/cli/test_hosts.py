"""One command on several engines: an answer of each, below its name."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from mlship.cli.answer import Answer
from mlship.cli.call import Call, Common
from mlship.cli.hosts import on_each_host, on_every_host, together
from mlship.cli.terminal import Terminal
from mlship.errors import Exit, MlshipError
from mlship.flows.context import Context, Where
from mlship.home import Home
from mlship.progress import Silent
from mlship.runner import LocalRunner

A, B = "ssh://deploy@a", "ssh://deploy@b"


@pytest.fixture
def call(tmp_path: Path) -> Call:
    (tmp_path / "mlship.yaml").write_text(
        f"name: churn\nmodel: a.joblib\ntarget: docker\ntargets: {{docker: {{hosts: ['{A}', '{B}']}}}}\n"
    )
    context = Context(Home(tmp_path / "home"), LocalRunner(), Silent(), {}, tmp_path, lambda: 0.0, "anna@test pid 1")
    return Call("status", Common(), context, Terminal(io.StringIO(), io.StringIO(), io.StringIO(), {}, json=False), 0.0)


def test_each_host_has_its_own_answer_below_its_name(call: Call) -> None:
    answer = on_each_host(call, "", lambda where: Answer(f"ok\nfrom {where.host[-1]}", {"live": "r1"}, brief=where.host[-1]))
    assert answer.text == f"{A}\n  ok\n  from a\n{B}\n  ok\n  from b"
    assert answer.payload == {"hosts": [{"host": A, "exit": 0, "live": "r1"}, {"host": B, "exit": 0, "live": "r1"}]}
    assert answer.brief == "a\nb"


def test_a_host_that_cannot_be_asked_does_not_hide_the_others_from_status(call: Call) -> None:
    def act(where: Where) -> Answer:
        if where.host == A:
            raise MlshipError("no Docker engine answers", exit=Exit.UNREACHABLE, code="unreachable")
        return Answer("r1 is live", {"live": "r1"})

    answer = on_every_host(call, "", act)
    assert answer.text == f"{A}\n  error: no Docker engine answers\n  exit 13\n{B}\n  r1 is live"
    assert answer.exit == 13
    assert [one["exit"] for one in answer.payload["hosts"]] == [13, 0]
    with pytest.raises(MlshipError, match=f"{A}: no Docker engine answers"):
        on_each_host(call, "", act)


def test_one_place_is_answered_as_it_always_was() -> None:
    only = Answer("r1 is live", {"live": "r1"}, exit=3)
    assert together([""], [only]) is only
