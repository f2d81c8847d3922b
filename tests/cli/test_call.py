from __future__ import annotations

import io
from pathlib import Path

import pytest

from mlship.cli.call import Call, Common
from mlship.cli.terminal import Terminal
from mlship.errors import Exit, MlshipError
from mlship.flows.context import Context
from mlship.home import Home
from mlship.progress import Silent
from mlship.runner import LocalRunner


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def call(typed: str = "", *, screen: bool = True, **said: object) -> Call:
    stream = Screen if screen else io.StringIO
    context = Context(Home(Path("/home/me/.mlship")), LocalRunner(), Silent(), {}, Path("/shop"), lambda: 0.0, "me")
    return Call("deploy", Common(**said), context, Terminal(stream(typed), stream(), stream(), {}, json=False), 0.0)


@pytest.mark.parametrize("typed", ["y\n", "Y\n", "yes\n", " yes \n"])
def test_yes_is_agreement(typed: str):
    call(typed).agree("Apply?")


@pytest.mark.parametrize("typed", ["n\n", "\n", "", "yep\n"])
def test_anything_else_changes_nothing(typed: str):
    with pytest.raises(MlshipError, match="not applied; nothing was changed") as caught:
        call(typed).agree("Apply?")
    assert caught.value.exit == Exit.INTERRUPTED


def test_with_yes_nothing_is_asked():
    call(screen=False, yes=True).agree("Apply?")


def test_hints_carry_the_options_that_were_said():
    said = call(env="prod", target="docker", file="other file.yaml", directory="shop")
    assert said.hint("deploy --again") == "mlship deploy --again --env prod --target docker -f 'other file.yaml' -C shop"


def test_where_is_what_was_said_and_relative_files_start_at_the_folder():
    where = call(env="prod", file="other.yaml").where("churn")
    assert (where.file, where.name, where.environment, where.target) == (Path("/shop/other.yaml"), "churn", "prod", "")


def test_without_options_where_is_to_be_found():
    assert call().where().file is None
