"""Why each layer was made again: the facts that it was made from, against those of the project's build before.

A fact is a name and a text; `text#digest` where only the digest tells a difference. No fact holds a secret or a row of data.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlship.disk import write_atomic
from mlship.oci.image import Image, Layer

Facts = Mapping[str, str]
Verdict = Literal["made", "cached", "kept", "gone"]
_SCHEMA = 1


@dataclass(frozen=True)
class LayerWhy:
    """verdict: `made` now; `cached` by an earlier build; `kept` as the build before had it; `gone` from it. reasons: for people."""

    layer: str
    verdict: Verdict
    reasons: tuple[str, ...]


def label(layer: Layer) -> str:
    """`packages numpy`, `code`."""
    return layer.role if layer.name in ("", layer.role) else f"{layer.role} {layer.name}"


def explained(
    image: Image, facts: Mapping[str, Facts], before: Image | None, known: Mapping[str, Facts] | None, blobs: frozenset[str]
) -> tuple[LayerWhy, ...]:
    """One for each layer, and for each that is gone. known: of the image before; None where nobody wrote them down.

    blobs: hex digests of what the store had. Pure.
    """
    earlier = {label(layer): layer for layer in before.layers} if before else {}
    whys = [_why(layer, facts, earlier.get(label(layer)), known, blobs, first=before is None) for layer in image.layers]
    here = {label(layer) for layer in image.layers}
    return (*whys, *(LayerWhy(name, "gone", ("nothing in it any more",)) for name in earlier if name not in here))


def differences(before: Facts, after: Facts) -> tuple[str, ...]:
    """`numpy 2.1 -> 2.2`, `model.joblib has other content`, `scipy 1.17 is new`. Pure."""
    return tuple(_differences(before, after))


class KnownFacts:
    """What images were made from, beside their records. folder: Home.images."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "facts"

    def write(self, content: str, facts: Mapping[str, Facts]) -> None:
        write_atomic(self._path(content), json.dumps({"schema": _SCHEMA, "facts": facts}, ensure_ascii=False).encode())

    def of_content(self, content: str) -> Mapping[str, Facts] | None:
        """None for images of an mlship that wrote none, or writes them otherwise."""
        try:
            document = json.loads(self._path(content).read_bytes())
            return dict(document["facts"]) if document["schema"] == _SCHEMA else None
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return None

    def _path(self, content: str) -> Path:
        return self._folder / f"{content.removeprefix('sha256:')}.json"


def _why(
    layer: Layer,
    facts: Mapping[str, Facts],
    earlier: Layer | None,
    known: Mapping[str, Facts] | None,
    blobs: frozenset[str],
    *,
    first: bool,
) -> LayerWhy:
    name = label(layer)
    is_here = layer.blob.digest.removeprefix("sha256:") in blobs
    if earlier is None:
        reason = "never built here" if first else "not in the build before"
        return LayerWhy(
            name, "cached" if is_here else "made", (f"{reason}; an image with it was" if first and is_here else reason,)
        )
    told = differences(known.get(name, {}), facts.get(name, {})) if known is not None else None
    if earlier.diff_id == layer.diff_id and not is_here:
        return LayerWhy(name, "made", ("its blob was not there any more, or is packed otherwise now",))
    if earlier.diff_id == layer.diff_id:
        equal = ("the same bytes",) if told is None else ("same inputs",)
        return LayerWhy(name, "kept", (*told, "the same bytes all the same") if told else equal)
    if told is None:
        told = ("the build before did not write down what it was made from",)
    return LayerWhy(name, "cached" if is_here else "made", told or ("no input that is written down changed",))


def _differences(before: Facts, after: Facts) -> Iterator[str]:
    for name in _names(before, after):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        old_text, new_text = (text.partition("#")[0] if text is not None else None for text in (old, new))
        if old_text is None:
            yield f"{name} {new_text} is new".replace("  ", " ")
        elif new_text is None:
            yield f"{name} {old_text} is gone".replace("  ", " ")
        elif old_text != new_text:
            yield f"{name} {old_text or 'none'} -> {new_text or 'none'}"
        else:
            yield f"{name} has other content"


def _names(before: Facts, after: Facts) -> Iterable[str]:
    return dict.fromkeys((*after, *before))


def grouped(whys: Sequence[LayerWhy]) -> tuple[LayerWhy, ...]:
    """Those with the same verdict and reasons together, in the order of the first; names joined. Pure."""
    together: dict[tuple[Verdict, tuple[str, ...]], list[str]] = {}
    for why in whys:
        together.setdefault((why.verdict, why.reasons), []).append(why.layer)
    return tuple(LayerWhy(", ".join(names), verdict, reasons) for (verdict, reasons), names in together.items())
