"""mlship.yaml.example: all of it loads, and with the comments taken off it shows every key that there is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlship.config.expand import expanded
from mlship.config.load import load_project
from mlship.config.nodes import List, Map, Node
from mlship.config.not_yet import is_built
from mlship.config.read import compose
from mlship.config.report import Report
from mlship.config.shapes import Listing, Section, Shape
from mlship.config.validate import DOCUMENT
from mlship.errors import FindingsError

EXAMPLE = Path(__file__).parent.parent.parent / "mlship.yaml.example"


def uncommented(text: str) -> str:
    """Every example line as if it were meant; the heading, which is sentences, aside."""
    body = text.partition("schema: 1")
    return body[1] + re.sub(r"^( *)# ( *[a-z0-9_]+: ?)", r"\1\2", body[2], flags=re.MULTILINE)


def schema_keys(shape: Shape, parent: str = "") -> Iterator[str]:
    if isinstance(shape, Listing):
        shape = shape.item
    if isinstance(shape, Section):
        for name, key in shape.keys.items():
            yield f"{parent}{name}"
            yield from schema_keys(key.shape, f"{parent}{name}.")


def keys(node: Node, parent: str = "") -> Iterator[str]:
    if isinstance(node, Map):
        for name, entry in node.entries.items():
            yield f"{parent}{name}"
            yield from keys(entry, f"{parent}{name}.")
    if isinstance(node, List):
        for item in node.items:
            yield from keys(item, parent)


@pytest.mark.parametrize("environment", ["", "staging", "prod"])
def test_the_example_loads_as_it_stands(environment: str) -> None:
    assert load_project(EXAMPLE, environment).name == "churn"


def test_the_example_shows_every_key_of_the_schema() -> None:
    root = compose(uncommented(EXAMPLE.read_text()), Report("example"))
    assert root
    in_words = {"cost.traffic.profile", "cost.traffic.requests_month"}  # instead of what stands there
    shown = {*keys(expanded(root, DOCUMENT)), *in_words}
    assert "{profile: FILE}" in EXAMPLE.read_text() and "{requests_month: " in EXAMPLE.read_text()
    assert set(schema_keys(DOCUMENT)) - shown == set()


def test_the_example_leaves_active_what_is_built_and_nothing_else() -> None:
    active = compose(EXAMPLE.read_text(), Report("example"))
    assert active
    shown = set(keys(expanded(active, DOCUMENT)))
    built = {key for key in schema_keys(DOCUMENT) if is_built(tuple(key.split(".")))}
    assert built - shown == {
        *("models", "model.loader"),  # they would contradict model and framework
        "targets.azure.subnet",  # this one: an environment is named, or made in a subnet
        *(
            f"targets.azure.entra{part}" for part in ("", ".client_id", ".tenant", ".audience", ".principals")
        ),  # callers is there
        *("model.quantize", "model.quantize.type", "model.quantize.max_loss"),  # these, too
        *("resources.gpu", "resources.gpu.count"),  # and these a range of replicas
        *("cost.traffic.profile", "cost.traffic.requests_month"),  # instead of what stands there
    }


def test_what_is_commented_out_is_right_but_for_being_later(tmp_path: Path) -> None:
    file = tmp_path / "mlship.yaml"
    file.write_text(uncommented(EXAMPLE.read_text()))
    with pytest.raises(FindingsError) as raised:
        load_project(file)
    others = [finding for finding in raised.value.findings if finding.code != "not-yet"]
    assert [finding.what for finding in others] == [
        "a loader is for framework python or torch, not sklearn",
        "int8 is measured and computed on the CPU, and resources.gpu is set",
        "model and models stand side by side",
        "a range of replicas cannot be followed with resources.gpu: the autoscaler hands out no GPUs",
    ]
