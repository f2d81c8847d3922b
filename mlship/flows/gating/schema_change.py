"""What changes for callers from one signature to the next, as /schema tells them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlship.config.words import nearest

# what also takes all that the first took: values of JSON, not memory
WIDER: Mapping[str, tuple[str, ...]] = {
    "bool": ("any",),
    "float16": ("float32", "float64", "any"),
    "float32": ("float16", "float64", "any"),
    "float64": ("float16", "float32", "any"),
    "string": ("any",),
    "datetime": ("string", "any"),
}
SIZES = {f"{sign}int{bits}": (sign, bits) for sign in ("", "u") for bits in (8, 16, 32, 64)}


@dataclass(frozen=True)
class Change:
    """breaking: what a caller of before would meet. compatible: what is new and hurts nobody."""

    breaking: tuple[str, ...] = ()
    compatible: tuple[str, ...] = ()


def change(before: Mapping[str, Any], after: Mapping[str, Any]) -> Change:
    """before, after: documents of /schema."""
    breaking, compatible = _inputs(before["inputs"], after["inputs"], after.get("extra") == "ignore")
    lost, new = _outputs(before["outputs"], after["outputs"])
    return Change((*breaking, *lost), (*compatible, *new))


def service_change(
    before: Mapping[str, Any], models: Sequence[str], after: Mapping[str, Any], new_models: Sequence[str]
) -> Change:
    """What is served, beside what each model takes. before, after: how, as images record it. models: the first one first."""
    breaking = [f"model {name} is gone" for name in models if name not in new_models]
    if models[0] in new_models and models[0] != new_models[0]:
        breaking.append(f"/predict asks {new_models[0]}, before {models[0]}")
    spoken, speaks = (tuple(serving.get("protocols", ("native",))) for serving in (before, after))
    breaking += [f"the protocol {name} is gone" for name in spoken if name not in speaks]
    if after.get("auth") and not before.get("auth"):
        breaking.append("callers need a key now (serve.auth)")
    compatible = [f"model {name} is new" for name in new_models if name not in models]
    compatible += [f"the protocol {name} is new" for name in speaks if name not in spoken]
    return Change(tuple(breaking), tuple(compatible))


def takes(before: str, after: str) -> bool:
    """Whether a feature of the second kind takes every value of the first."""
    if before == after or after == "any":
        return True
    if before in SIZES:
        sign, bits = SIZES[before]
        if after in SIZES:
            other, width = SIZES[after]
            return (width >= bits and other == sign) or (sign == "u" and not other and width > bits)
        return after.startswith("float")
    return after in WIDER.get(before, ())


def _inputs(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], ignores: bool
) -> tuple[list[str], list[str]]:
    old, new = {feature["name"]: feature for feature in before}, {feature["name"]: feature for feature in after}
    if bool(old) != bool(new):
        return ([] if not new else ["features are checked now; before, any row was taken"]), []
    breaking, compatible = [], []
    added = [name for name in new if name not in old]
    for name in old:
        if name not in new:
            meant = nearest(name, added)
            told = f"feature {name} is gone" + (f"; renamed to {meant}?" if meant else "")
            breaking.append(
                told if not ignores or meant else f"{told} (serve.extra: ignore passes over it in objects, not in lists)"
            )
    breaking += [f"feature {name} is new, and callers of before do not send it" for name in added]
    kept = [name for name in old if name in new]
    if kept != [name for name in new if name in old]:
        breaking.append(f"features stand in another order: {', '.join(new)}; before {', '.join(old)}")
    for name in kept:
        hard, soft = _feature(old[name], new[name])
        breaking += hard
        compatible += soft
    return breaking, compatible


def _feature(old: Mapping[str, Any], new: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    name = old["name"]
    breaking, compatible = [], []
    if not takes(old["dtype"], new["dtype"]):
        breaking.append(f"feature {name} takes {new['dtype']}, before {old['dtype']}")
    elif old["dtype"] != new["dtype"]:
        compatible.append(f"feature {name} takes {new['dtype']}, before {old['dtype']}")
    if old["nullable"] and not new["nullable"]:
        breaking.append(f"feature {name} takes null no more")
    elif new["nullable"] and not old["nullable"]:
        compatible.append(f"feature {name} also takes null")
    if list(old["shape"]) != list(new["shape"]) and not _wider_shape(old["shape"], new["shape"]):
        breaking.append(f"feature {name} has the shape {list(new['shape'])}, before {list(old['shape'])}")
    if new["categories"] is not None:
        lost = [value for value in old["categories"] or () if value not in new["categories"]]
        if old["categories"] is None or lost:
            what = f"takes no {', '.join(map(str, lost[:5]))}" if lost else "takes a closed set of values now"
            breaking.append(f"feature {name} {what}")
        elif len(new["categories"]) > len(old["categories"]):
            compatible.append(f"feature {name} takes more values")
    return breaking, compatible


def _wider_shape(old: Sequence[int], new: Sequence[int]) -> bool:
    return len(old) == len(new) and all(size in (was, -1) for was, size in zip(old, new, strict=True))


def _outputs(before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    old, new = {output["name"]: output for output in before}, {output["name"]: output for output in after}
    breaking = [f"output {name} is gone" for name in old if name not in new]
    compatible = [f"output {name} is new" for name in new if name not in old]
    for name in old:
        if name not in new:
            continue
        was, now = old[name], new[name]
        if _kind(was["dtype"]) != _kind(now["dtype"]):
            breaking.append(f"output {name} gives {now['dtype']}, before {was['dtype']}")
        if len(was["shape"]) != len(now["shape"]):
            breaking.append(f"output {name} has the shape {list(now['shape'])} a row, before {list(was['shape'])}")
        breaking += [
            f"output {name} says {value} no more"
            for value in was["classes"] or ()
            if now["classes"] and value not in now["classes"]
        ]
        compatible += [
            f"output {name} may say {value}" for value in now["classes"] or () if was["classes"] and value not in was["classes"]
        ]
    return breaking, compatible


def _kind(dtype: str) -> str:
    return dtype.rstrip("0123456789").removeprefix("u")
