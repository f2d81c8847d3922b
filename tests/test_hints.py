"""Commands that texts name work as pasted: the real command line takes them, and they are about what the call was about."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from architecture import reading, sources

from mlship.cli.call import Call
from mlship.cli.command import load, parser_of
from mlship.cli.hints import NAMED, Scope
from mlship.cli.table import COMMANDS
from mlship.flows.command_line import command_for

OWN = (["server"], ["keeper"])  # programs of their own, which know no command line
CALL = Scope("churn", "prod", "gcp", "europe-west1", "other.yaml", "my shop")
UNSCOPED = ("cache", "prices", "schema")
OF_ITS_OWN = {"list": {"env", "file", "directory"}, "ci": {"env", "target", "region"}, "cost-estimate": {"region"}}
OF_ITS_OWN["init"] = {"env", "target", "region", "file"}
OPTIONS = {"--env": "env", "--target": "target", "--region": "region", "-f": "file", "--file": "file", "-C": "directory"}
HINT = re.compile(r"(?<![\w./-])mlship (?P<verb>[a-z][a-z-]+)(?P<rest>(?: (?:'[^']*'|[^\s;,)`]+))*)")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mlship status", "mlship status churn --target aws -C 'my shop'"),
        (
            "mlship promote churn goes on, mlship abort churn takes it back",
            "mlship promote churn --target aws -C 'my shop' goes on, mlship abort churn --target aws -C 'my shop' takes it back",
        ),
        ("mlship logs NAME --target aws", "mlship logs NAME -C 'my shop' --target aws"),
        ("mlship deploy --target docker", "mlship deploy -C 'my shop' --target docker"),
        ("mlship list -h; mlship cache prune", "mlship list --target aws -h; mlship cache prune"),
        ("another mlship deploys it, ./mlship build", "another mlship deploys it, ./mlship build"),
    ],
)
def test_a_command_gets_the_words_that_it_takes_and_has_not(text: str, said: str) -> None:
    assert Scope(name="churn", target="aws", directory="my shop").completed(text) == said
    assert Scope().completed(text) == text


def test_another_target_is_not_in_this_targets_region() -> None:
    assert Scope(target="aws", region="eu-west-1").completed("mlship deploy --target gcp") == "mlship deploy --target gcp"
    assert Scope(target="aws", region="eu-west-1").completed("mlship plan") == "mlship plan --target aws --region eu-west-1"


def test_whose_account_it_is_stands_before_a_command_that_works_from_any_folder() -> None:
    assert command_for("rollback", "churn", "gcp", "prod", "europe-west1", "acme-ml") == (
        "GOOGLE_CLOUD_PROJECT=acme-ml mlship rollback churn --target gcp --env prod --region europe-west1"
    )
    assert command_for("status", "churn", "azure", "", "westeurope", "0a1b") == (
        "AZURE_SUBSCRIPTION_ID=0a1b mlship status churn --target azure --region westeurope"
    )
    assert command_for("status", "churn", "docker", "") == "mlship status churn --target docker"


class Hint(NamedTuple):
    """own: its words without those of the call."""

    module: str
    verb: str
    words: tuple[str, ...]
    own: tuple[str, ...]


def test_every_command_in_a_text_is_one_and_is_about_what_the_call_was_about() -> None:
    found = list(hints())
    assert len(found) > 150 and {hint.verb for hint in found} > {"build", "deploy", "status", "lock", "rollback", "test"}
    wrong = [f"{hint.module}: mlship {hint.verb} {' '.join(hint.words)}: {why}" for hint in found if (why := flaw(hint))]
    assert wrong == []


def hints() -> Iterator[Hint]:
    """Of every text in the program, once this call's words were put in. A hole in a text is taken for the project's name."""
    for module, source in sources().items():
        if "mlship " not in source or module.split(".")[1:2] in OWN:
            continue
        texts = reading(source).texts
        pieces = {piece for text in texts if "\0" in text for piece in text.split("\0")}
        for text in (text.replace("\0", CALL.name) for text in texts - pieces if "mlship " in text):
            for own, whole in zip(HINT.finditer(text), HINT.finditer(CALL.completed(text)), strict=True):
                if whole["verb"] in COMMANDS:
                    yield Hint(module, whole["verb"], words_of(whole["rest"]), words_of(own["rest"]))


def words_of(text: str) -> tuple[str, ...]:
    return tuple(word.strip("'") for word in re.findall(r"'[^']*'|\S+", text))


def flaw(hint: Hint) -> str:
    """Why it does not work as it stands; empty where it does. What follows its words is prose."""
    parser = parsers(hint.verb)
    options = {name: one for one in parser.params for name in one.opts}
    words: list[str] = []
    rest = list(hint.words)
    while rest:
        word = rest.pop(0)
        if word.startswith("-"):
            if word == f"--{CALL.name}":  # which one is only known then
                rest = rest[1:]
                continue
            if word not in options:
                return f"no option {word}"
            words.append(word)
            if not options[word].is_flag and rest:
                words.append(fitting(options[word], rest.pop(0)))
        elif (
            word.isupper()
            or word == CALL.name
            or (not words and word in ("import", "export", "prune", "coverage", "refresh", "show", "github"))
        ):
            words.append(word)
        else:
            break
    try:
        said = parser.make_context(hint.verb, words).params
    except Exception as error:
        return repr(error)
    return "" if hint.verb in UNSCOPED else ", ".join(lacking(hint, said))


def fitting(option: Any, word: str) -> str:
    """A value that the option takes, in the place of what stands for one."""
    choices = getattr(option.type, "choices", None)
    if choices and (word.isupper() or word == CALL.name):
        return str(next(iter(choices)))
    is_number = any(kind in option.type.name for kind in ("int", "float"))
    return "1" if is_number and (word.isupper() or word == CALL.name) else word


def lacking(hint: Hint, said: dict[str, Any]) -> Iterator[str]:
    if hint.verb in NAMED and said["name"] not in (CALL.name, "NAME"):
        yield f"the name is {said['name']!r}"
    left_out = OF_ITS_OWN.get(hint.verb, set()) | {OPTIONS[word] for word in hint.own if word in OPTIONS}
    left_out |= {"target"} if "--optimise" in hint.own else set()
    is_elsewhere = said["target"] != CALL.target
    for name in {*OPTIONS.values()} - left_out - ({"region"} if is_elsewhere else set()):
        if said[name] != getattr(CALL, name):
            yield f"{name} is {said[name]!r}"


@functools.cache
def parsers(verb: str) -> Any:
    def make_call(*_: object) -> Call:
        raise AssertionError("nothing is run here")

    return parser_of(verb, load(verb), make_call)


def test_the_commands_that_take_a_name_are_known() -> None:
    named = {verb for verb in COMMANDS if verb != "init" and any(one.name == "name" for one in parsers(verb).params)}
    assert named == NAMED
