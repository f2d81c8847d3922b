"""Microsoft's published resource types as a judge of requests to Azure Resource Manager and of a fake's answers.

The types (github.com/Azure/bicep-types-az, MIT) stand beside a checkout and are not part of mlship: where the file is not there,
`needs_contract` skips visibly, and `check_request` and `check_answer` say nothing. What they say of a member: unknown, required,
read-only, write-only, its enum, length and pattern.
Where Microsoft leaves an enum open, only the words that it names are taken: mlship has no reason to send another.
"""

from __future__ import annotations

import functools
import gzip
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

PLACE = Path(__file__).parents[3] / "shared" / "contracts" / "azure-types.json.gz"
REQUIRED, READ_ONLY, WRITE_ONLY, CONSTANT = 1, 2, 4, 8
Body = Mapping[str, Any]
Type = Mapping[str, Any]
_PLAIN = {"StringType": str, "IntegerType": int, "BooleanType": bool}
_ANY: Type = {"$type": "AnyType"}
_OF_THE_ADDRESS = ("id", "name", "type")  # what an answer says, and a request's path


def is_there() -> bool:
    return PLACE.is_file()


needs_contract = pytest.mark.skipif(
    not is_there() and os.environ.get("MLSHIP_REQUIRE_CONTRACTS") != "1",
    reason=f"Microsoft's resource types are not at {PLACE.parent.name}/{PLACE.name} beside this checkout",
)


@dataclass(frozen=True)
class Address:
    """A path of Azure Resource Manager. kind: `Microsoft.App/containerApps`. action: `listKeys` in a POST, else empty.

    is_list: all of a kind. scope: what stands before the last `/providers/`.
    """

    scope: str
    kind: str
    names: tuple[str, ...]
    action: str = ""

    @property
    def is_list(self) -> bool:
        return not self.action and self.kind.count("/") > len(self.names)

    @property
    def name(self) -> str:
        return self.names[-1] if self.names else ""


def address(method: str, path: str) -> Address:
    """Raises AssertionError for a path that is none of a provider's."""
    scope, found, rest = path.partition("?")[0].rpartition("/providers/")
    parts = rest.strip("/").split("/")
    assert found and len(parts) >= 2, f"{path} is no path of a provider's resource"
    kinds, names = parts[1::2], parts[2::2]
    action = kinds.pop() if method == "POST" and len(kinds) > len(names) else ""
    return Address(scope, "/".join([parts[0], *kinds]), tuple(names), action)


def is_published(method: str, path: str) -> bool:
    """Whether Microsoft's file says anything of this path's kind (or of its action), in whatever version."""
    if path.rpartition("/providers/")[2].count("/") == 0:  # a provider itself, and not what it has
        return False
    asked = address(method, path)
    kind = "/".join(filter(None, (asked.kind, asked.action))).lower()
    return any(known.partition("@")[0] == kind for known in _published()["functions" if asked.action else "resources"])


def wrongs_of_request(method: str, path: str, version: str, body: Any) -> list[str]:
    """What the types say against a request. Raises AssertionError where they have none of its kind and version."""
    asked = address(method, path)
    where = f"{method} {'/'.join(filter(None, (asked.kind, asked.action)))}"
    if asked.action:
        return _of_action(asked, version, "input", body, where)
    if method not in ("PUT", "PATCH"):
        return [] if body in (None, "", {}) else [f"{where}: takes no body"]
    file, of = _resource(asked.kind, version)
    judge = _Judge(file, READ_ONLY, partly=method == "PATCH")
    found = [*judge.wrongs(of, body, where), *_name(file, of, asked.name, where)]
    if isinstance(body, Mapping) and str(body.get("name", asked.name)) != asked.name:
        found.append(f"{where}.name: {body['name']!r} is not the path's {asked.name}")
    return found


def wrongs_of_answer(method: str, path: str, version: str, status: int, body: Any) -> list[str]:
    """What the types say against an answer; one of an error has the error's form, and one of a running operation may be empty."""
    asked = address(method, path)
    where = f"answer of {method} {'/'.join(filter(None, (asked.kind, asked.action)))}"
    if status >= 400:
        return _error(body, where)
    if not body and (status in (202, 204) or method == "DELETE"):
        return []
    if asked.action:
        return _of_action(asked, version, "output", body, where)
    file, of = _resource(asked.kind, version)
    judge = _Judge(file, WRITE_ONLY)
    if asked.is_list:
        if not isinstance(body, Mapping) or not isinstance(body.get("value"), list) or set(body) - {"value", "nextLink"}:
            return [f"{where}: a list has `value` and `nextLink`"]
        return [wrong for number, one in enumerate(body["value"]) for wrong in _told(judge, of, one, f"{where}[{number}]")]
    return _told(judge, of, body, where)


def check_request(method: str, path: str, version: str, body: Any) -> None:
    """Raises AssertionError with every member that Azure would refuse."""
    found = wrongs_of_request(method, path, version, body) if is_there() else []
    assert not found, "\n".join(found)


def check_answer(method: str, path: str, version: str, status: int, body: Any) -> None:
    found = wrongs_of_answer(method, path, version, status, body) if is_there() else []
    assert not found, "\n".join(found)


@dataclass(frozen=True)
class _Judge:
    """forbidden: READ_ONLY for what is sent, WRITE_ONLY for what comes back. partly: a PATCH says what changes."""

    file: Mapping[str, Type]
    forbidden: int
    partly: bool = False

    def wrongs(self, of: Type, value: Any, path: str) -> list[str]:
        kind = of["$type"]
        if kind == "AnyType":
            return []
        if kind == "UnionType":
            return self._union(of, value, path)
        if kind == "ArrayType":
            return self._array(of, value, path)
        if kind in ("ObjectType", "DiscriminatedObjectType"):
            return self._object(of, value, path)
        if kind == "StringLiteralType":
            return [] if value == of["value"] else [f"{path}: {value!r} is not {of['value']!r}"]
        return _scalar(of, value, path)

    def _union(self, of: Type, value: Any, path: str) -> list[str]:
        options = [self._type(one) for one in of["elements"]]
        words = [one["value"] for one in options if one["$type"] == "StringLiteralType"]
        if words:
            return [] if value in words else [f"{path}: {value!r} is none of {words}"]
        found = [self.wrongs(one, value, path) for one in options]
        return [] if not all(found) else min(found, key=len)

    def _array(self, of: Type, value: Any, path: str) -> list[str]:
        if not isinstance(value, list):
            return [f"{path}: {value!r} is no list"]
        item = self._type(of["itemType"])
        inner = [wrong for number, one in enumerate(value) for wrong in self.wrongs(item, one, f"{path}[{number}]")]
        return [*_bounds(of, len(value), path, "Length"), *inner]

    def _object(self, of: Type, value: Any, path: str) -> list[str]:
        if not isinstance(value, Mapping):
            return [f"{path}: {value!r} is no object"]
        known, other, found = self._members(of, value, path)
        for name, member in known.items():
            said, flags = value.get(name), member["flags"]
            if said is None:
                found += self._missing(name, flags, path)
            elif flags & self.forbidden:
                found.append(f"{path}: {name} is {'read' if self.forbidden == READ_ONLY else 'write'}-only")
            else:
                found += self.wrongs(self._type(member["type"]), said, f"{path}.{name}")
        for name in value.keys() - known.keys():
            found += self.wrongs(other, value[name], f"{path}.{name}") if other else [f"{path}: there is no {name}"]
        return found

    def _members(self, of: Type, value: Body, path: str) -> tuple[dict[str, Any], Type | None, list[str]]:
        """Those of the object, and, where a word of it decides which it is, of that form."""
        other = self._type(of["additionalProperties"]) if "additionalProperties" in of else None
        if of["$type"] == "ObjectType":
            return dict(of["properties"]), other, []
        members, forms, word = dict(of.get("baseProperties") or {}), of["elements"], value.get(of["discriminator"])
        if word in forms:
            return {**members, **self._type(forms[word])["properties"]}, other, []
        return {}, _ANY, [f"{path}: {of['discriminator']} {word!r} is none of {sorted(forms)}"]

    def _missing(self, name: str, flags: int, path: str) -> list[str]:
        is_wanted = flags & REQUIRED and not flags & (self.forbidden | CONSTANT) and not self.partly
        return [f"{path}: {name} is missing"] if is_wanted else []

    def _type(self, reference: Body) -> Type:
        return self.file[reference["$ref"].rpartition("/")[2]]


def _told(judge: _Judge, of: Type, body: Any, where: str) -> list[str]:
    missing = [f"{where}: {name} is missing" for name in _OF_THE_ADDRESS if isinstance(body, Mapping) and not body.get(name)]
    return [*missing, *judge.wrongs(of, body, where)]


def _name(file: Mapping[str, Type], of: Type, name: str, where: str) -> list[str]:
    member = (of.get("properties") or of.get("baseProperties") or {}).get("name")
    return (
        _Judge(file, READ_ONLY).wrongs(file[member["type"]["$ref"].rpartition("/")[2]], name, f"{where} name") if member else []
    )


def _of_action(asked: Address, version: str, part: str, body: Any, where: str) -> list[str]:
    file, of = _find("functions", f"{asked.kind}/{asked.action}", version)
    if part not in of:
        return [] if body in (None, "", {}) else [f"{where}: takes no body"]
    judge = _Judge(file, READ_ONLY if part == "input" else WRITE_ONLY)
    return judge.wrongs(file[of[part]["$ref"].rpartition("/")[2]], body or {}, where)


def _scalar(of: Type, value: Any, path: str) -> list[str]:
    wanted = _PLAIN[of["$type"]]
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        return [f"{path}: {value!r} is no {of['$type'].removesuffix('Type').lower()}"]
    if wanted is int:
        return _bounds(of, value, path, "Value")
    if wanted is bool:
        return []
    found = _bounds(of, len(value), path, "Length")
    if "pattern" in of and not re.search(of["pattern"], value):
        found.append(f"{path}: {value!r} does not match {of['pattern']}")
    return found


def _bounds(of: Type, size: int, path: str, what: str) -> list[str]:
    low, high = of.get(f"min{what}"), of.get(f"max{what}")
    wrong = (low is not None and size < low) or (high is not None and size > high)
    return [f"{path}: {size} is not within {low}..{high}"] if wrong else []


def _error(body: Any, where: str) -> list[str]:
    """`{"error": {"code", "message", ...}}` (Azure Resource Manager, common types v5: ErrorResponse)."""
    error = body.get("error") if isinstance(body, Mapping) else None
    said = isinstance(error, Mapping) and all(isinstance(error.get(name), str) for name in ("code", "message"))
    return [] if said else [f"{where}: an error has `error` with `code` and `message`"]


def _resource(kind: str, version: str) -> tuple[Mapping[str, Type], Type]:
    file, of = _find("resources", kind, version)
    return file, file[of["body"]["$ref"].rpartition("/")[2]]


def _find(part: str, kind: str, version: str) -> tuple[Mapping[str, Type], Type]:
    published = _published()
    key = f"{kind}@{version}".lower()
    if key not in published[part]:
        others = sorted(_versions(part, kind.lower()))
        raise AssertionError(f"Microsoft's types have no {kind} of {version}; versions: {', '.join(others) or 'none'}")
    file, number = published[part][key]
    return published["files"][file], published["files"][file][str(number)]


def _versions(part: str, kind: str) -> Iterator[str]:
    return (version for known, _, version in (key.partition("@") for key in _published()[part]) if known == kind)


@functools.cache
def _published() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress(PLACE.read_bytes()))
    return found
