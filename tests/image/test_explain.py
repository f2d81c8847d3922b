"""Why a layer was made again: its facts against those of the build before."""

from __future__ import annotations

from pathlib import Path

from mlship.image.explain import KnownFacts, differences, explained, grouped
from mlship.oci.image import Descriptor, Image, Layer


def layer(role: str, name: str, digit: str) -> Layer:
    return Layer(Descriptor("", f"sha256:{digit}", 1), f"sha256:plain{digit}", 1, role, name)


def image(*layers: Layer) -> Image:
    return Image("sha256:c", "linux/amd64", layers, {}, Descriptor("", "sha256:m", 1))


BASE, NUMPY, MODEL, CODE = (
    layer("base", "x", "1"),
    layer("packages", "numpy", "2"),
    layer("model", "m", "3"),
    layer("code", "code", "4"),
)
FACTS = {
    "base x": {"libc6": "2.36#a"},
    "packages numpy": {"numpy": "2.1#b"},
    "model m": {"m.joblib": "#c"},
    "code": {"a.py": "#d"},
}


def whys(*args: object) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {why.layer: (why.verdict, why.reasons) for why in explained(*args)}  # type: ignore[arg-type]


def test_each_layer_is_told_with_what_changed_it():
    after = image(BASE, layer("packages", "numpy", "7"), layer("model", "m", "8"), layer("packages", "scipy", "9"))
    facts = {**FACTS, "packages numpy": {"numpy": "2.2#e"}, "model m": {"m.joblib": "#f"}}
    assert whys(after, facts, image(BASE, NUMPY, MODEL, CODE), FACTS, frozenset({"1", "2", "3", "4", "8"})) == {
        "base x": ("kept", ("same inputs",)),
        "packages numpy": ("made", ("numpy 2.1 -> 2.2",)),
        "model m": ("cached", ("m.joblib has other content",)),
        "packages scipy": ("made", ("not in the build before",)),
        "code": ("gone", ("nothing in it any more",)),
    }


def test_a_first_build_and_one_of_an_older_mlship_are_told():
    assert whys(image(BASE), FACTS, None, None, frozenset())["base x"] == ("made", ("never built here",))
    said = whys(image(BASE, MODEL), FACTS, image(BASE, layer("model", "m", "5")), None, frozenset("1"))
    assert said == {
        "base x": ("kept", ("the same bytes",)),
        "model m": ("made", ("the build before did not write down what it was made from",)),
    }


def test_differences_name_what_came_and_went():
    assert differences({"a": "1#x", "b": "2#y", "c": "#z"}, {"a": "1#w", "c": "#z", "d": "3"}) == (
        "a has other content",
        "d 3 is new",
        "b 2 is gone",
    )


def test_layers_with_the_same_answer_stand_together():
    both = explained(image(BASE, NUMPY), FACTS, image(BASE, NUMPY), FACTS, frozenset("12"))
    assert [why.layer for why in grouped(both)] == ["base x, packages numpy"]


def test_facts_are_read_again_and_others_are_none(tmp_path: Path):
    known = KnownFacts(tmp_path)
    known.write("sha256:c", FACTS)
    assert known.of_content("sha256:c") == FACTS
    (tmp_path / "facts" / "c.json").write_text('{"schema": 99, "facts": {}}')
    assert known.of_content("sha256:c") is None
    assert known.of_content("sha256:other") is None
