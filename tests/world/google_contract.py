"""Google's discovery documents as judges of requests and answers: paths, parameters, fields, types, formats, enums, read-only fields.

    method = find(asked)                            # by host and path; AssertionError where Google has no such method
    check_request(asked)                            # AssertionError with the path of every mistake
    check_answer(method, {"name": ...})

The documents lie inside google-api-python-client. What they do not say is not checked: required fields are those whose text begins
with "Required." (and those that annotations name), and fields that exclude each other are not marked at all.
"""

from __future__ import annotations

import base64
import functools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import googleapiclient
from inspecting_proxy import Asked

DOCUMENTS = Path(googleapiclient.__file__).parent / "discovery_cache" / "documents"
# host without `.googleapis.com` and without a region -> the versions that may be meant
APIS: Mapping[str, tuple[str, ...]] = {
    "aiplatform": ("aiplatform.v1", "aiplatform.v1beta1"),
    "artifactregistry": ("artifactregistry.v1",),
    "cloudresourcemanager": ("cloudresourcemanager.v3", "cloudresourcemanager.v1"),
    "compute": ("compute.v1",),
    "iam": ("iam.v1",),
    "iamcredentials": ("iamcredentials.v1",),
    "logging": ("logging.v2",),
    "monitoring": ("monitoring.v3",),
    "run": ("run.v2", "run.v1"),
    "secretmanager": ("secretmanager.v1",),
    "serviceusage": ("serviceusage.v1", "serviceusage.v1beta1"),
    "storage": ("storage.v1",),
    "vpcaccess": ("vpcaccess.v1",),
}
_REGIONAL = re.compile(r"(?:[a-z]+-[a-z]+\d+-)?(?P<api>[a-z]+)(?:\.[a-z]+-[a-z]+\d+\.rep)?\.googleapis\.com")
_WHOLE = {"int32": (-(2**31), 2**31 - 1), "uint32": (0, 2**32 - 1), "int64": (-(2**63), 2**63 - 1), "uint64": (0, 2**64 - 1)}
_PATTERNS = {
    "google-datetime": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)"),
    "date-time": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"),
    "date": re.compile(r"\d{4}-\d\d-\d\d"),
    "google-duration": re.compile(r"-?\d+(\.\d{1,9})?s"),
    "google-fieldmask": re.compile(r"(\*|[A-Za-z0-9_.`-]+(,[A-Za-z0-9_.`-]+)*)?"),
}
_INTEGERS_FOR_ENUMS = "enum-encoding=int"  # of `$alt`: the generated clients ask for it, and speak so themselves


@dataclass(frozen=True)
class Method:
    """id: `aiplatform.projects.locations.endpoints.get`. params: what the path says, decoded. is_upload: the body is media, too."""

    id: str
    document: str
    spec: Mapping[str, Any]
    params: Mapping[str, str] = field(default_factory=dict)
    is_upload: bool = False

    @property
    def name(self) -> str:
        """Its last two words: `endpoints.get`."""
        return ".".join(self.id.split(".")[-2:])


def find(asked: Asked) -> Method:
    """Raises AssertionError where no document has it."""
    path = asked.target.partition("?")[0].lstrip("/")
    for document in _documents(asked.host):
        for method, pattern, is_upload in _methods(document):
            found = pattern.fullmatch(path)
            if found and method["httpMethod"] == asked.method:
                params = {_plain(name): unquote(text) for name, text in found.groupdict().items()}
                return Method(method["id"], document, method, params, is_upload)
    raise AssertionError(f"Google has no {asked.method} https://{asked.host}/{path}")


def check_request(asked: Asked) -> Method:
    """The method, where all is well. Raises AssertionError with every mistake."""
    method = find(asked)
    found = wrongs_in_request(method, asked)
    assert not found, "\n".join([f"{asked.method} https://{asked.host}{asked.target}", *found])
    return method


def wrongs_in_request(method: Method, asked: Asked) -> list[str]:
    """What the document says against it."""
    found = list(_wrong_query(method, asked))
    named = (method.spec.get("request") or {}).get("$ref")
    if method.is_upload:
        return [*found, *_wrong_upload(method, asked, named)]
    if named is None:
        return [*found, *(["takes no body"] if asked.body.strip() not in (b"", b"{}") else [])]
    if _is_raw(_document(method.document)["schemas"][named]):
        return found
    try:
        said = json.loads(asked.body or b"{}")
    except ValueError:
        return [*found, "the body is not JSON"]
    is_whole = asked.method != "PATCH"
    mask = asked.query.get("updateMask", "")
    judge = _Judge(method, of_request=True, integers=_INTEGERS_FOR_ENUMS in asked.query.get("$alt", ""), whole=is_whole)
    return [*found, *judge.wrongs({"$ref": named}, said, "body"), *_wrong_mask(judge, named, mask)]


def _is_raw(schema: Mapping[str, Any]) -> bool:
    """Whose body is passed on as it is, such as that of rawPredict."""
    return any(spec.get("$ref") == "GoogleApiHttpBody" for spec in schema.get("properties", {}).values())


def check_answer(method: Method, said: Any) -> None:
    """Raises AssertionError with the path of everything that Google would not say."""
    named = (method.spec.get("response") or {}).get("$ref")
    if named is None:
        assert not said, f"{method.id} answers nothing"
        return
    found = _Judge(method, of_request=False).wrongs({"$ref": named}, said, f"answer of {method.id}")
    assert not found, "\n".join(found)


class _Judge:
    """whole: required fields have to be there. integers: enums may be numbers."""

    def __init__(self, method: Method, *, of_request: bool, integers: bool = False, whole: bool = True) -> None:
        self._method = method
        self._schemas = _document(method.document)["schemas"]
        self._of_request = of_request
        self._integers = integers
        self._whole = whole

    def wrongs(self, spec: Mapping[str, Any], value: Any, path: str) -> list[str]:
        """spec: of a field, or a reference to a schema."""
        if "$ref" in spec:
            return self._object(self._schemas[spec["$ref"]], value, path)
        kind = spec.get("type")
        if kind == "object":
            return self._object(spec, value, path)
        if kind == "array":
            if not isinstance(value, list):
                return [f"{path}: {value!r} is no list"]
            return [wrong for number, one in enumerate(value) for wrong in self.wrongs(spec["items"], one, f"{path}[{number}]")]
        return [] if kind == "any" else _scalar(spec, value, path, self._integers)

    def schema(self, name: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._schemas[name]
        return found

    def _object(self, schema: Mapping[str, Any], value: Any, path: str) -> list[str]:
        if schema.get("type") == "any":
            return []
        if not isinstance(value, Mapping):
            return [f"{path}: {value!r} is no object"]
        known: Mapping[str, Any] = schema.get("properties", {})
        others = schema.get("additionalProperties")
        found: list[str] = []
        for name, entry in value.items():
            at = f"{path}.{name}"
            if name not in known:
                found += self.wrongs(others, entry, at) if others is not None else [f"{path}: there is no {name}"]
                continue
            if self._of_request and known[name].get("readOnly"):
                found.append(f"{at}: is only told, never taken")
            found += self.wrongs(known[name], entry, at)
        return [*found, *(f"{path}: {name} is missing" for name in self._required(known) if name not in value)]

    def _required(self, known: Mapping[str, Any]) -> Iterator[str]:
        if not (self._of_request and self._whole):
            return
        for name, spec in known.items():
            is_told_so = self._method.id in (spec.get("annotations") or {}).get("required", ())
            if is_told_so or (spec.get("description", "").startswith("Required.") and not spec.get("readOnly")):
                yield name


def _scalar(spec: Mapping[str, Any], value: Any, path: str, integers: bool) -> list[str]:
    kind, form = spec.get("type"), spec.get("format", "")
    if "enum" in spec:
        is_number = integers and isinstance(value, int) and not isinstance(value, bool) and value >= 0
        return [] if is_number or value in spec["enum"] else [f"{path}: {value!r} is none of {spec['enum']}"]
    if kind == "boolean":
        return [] if isinstance(value, bool) else [f"{path}: {value!r} is no boolean"]
    if kind == "integer":
        low, high = _WHOLE[form or "int32"]
        is_whole = isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
        return [] if is_whole else [f"{path}: {value!r} is no {form or 'integer'}"]
    if kind == "number":
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        return [] if is_number or value in ("NaN", "Infinity", "-Infinity") else [f"{path}: {value!r} is no number"]
    if not isinstance(value, str):
        return [f"{path}: {value!r} is no text"]
    return [] if _has_form(value, form) else [f"{path}: {value!r} is no {form}"]


def _has_form(value: str, form: str) -> bool:
    if form in _WHOLE:
        low, high = _WHOLE[form]
        return bool(re.fullmatch(r"-?\d+", value)) and low <= int(value) <= high
    if form == "byte":
        try:
            base64.b64decode(value.replace("-", "+").replace("_", "/"), validate=True)
        except ValueError:
            return False
    return form not in _PATTERNS or _PATTERNS[form].fullmatch(value) is not None


# -- parameters, masks, uploads --------------------------------------------------------------------------------------------


def _wrong_query(method: Method, asked: Asked) -> Iterator[str]:
    known = {name: spec for name, spec in method.spec.get("parameters", {}).items() if spec["location"] == "query"}
    system = _document(method.document)["parameters"]
    for name, text in asked.query.items():
        if name in known:
            yield from _wrong_parameter(known[name], text, f"?{name}")
        elif name.lstrip("$") not in system and name not in system:
            yield f"there is no parameter {name}"
    for name, spec in known.items():
        if spec.get("required") and name not in asked.query:
            yield f"the parameter {name} is missing"


def _wrong_parameter(spec: Mapping[str, Any], text: str, path: str) -> list[str]:
    if spec.get("type") == "boolean":
        return [] if text in ("true", "false", "True", "False") else [f"{path}: {text!r} is no boolean"]
    if spec.get("type") == "integer":
        is_whole = re.fullmatch(r"-?\d+", text) is not None
        return [] if is_whole else [f"{path}: {text!r} is no integer"]
    if "enum" in spec:
        return [] if text in spec["enum"] or text.isdigit() else [f"{path}: {text!r} is none of {spec['enum']}"]
    return [] if _has_form(text, spec.get("format", "")) else [f"{path}: {text!r} is no {spec['format']}"]


def _wrong_mask(judge: _Judge, named: str, mask: str) -> Iterator[str]:
    """Of a change: each field is there, and one that can be changed."""
    for path in filter(None, mask.split(",")):
        if path == "*":
            continue
        first = _camel(path.split(".")[0])
        spec = judge.schema(named).get("properties", {}).get(first)
        if spec is None:
            yield f"?updateMask: there is no {path}"
        elif spec.get("readOnly") or spec.get("description", "").startswith("Immutable."):
            yield f"?updateMask: {path} cannot be changed"


def _wrong_upload(method: Method, asked: Asked, named: str | None) -> Iterator[str]:
    kind = asked.query.get("uploadType", "")
    if kind not in ("media", "multipart", "resumable"):
        yield f"?uploadType: {kind!r} is none of media, multipart, resumable"
    said = upload_parts(asked)[0] if kind == "multipart" else json.loads(asked.body or b"{}") if kind == "resumable" else {}
    if named:
        yield from _Judge(method, of_request=True).wrongs({"$ref": named}, said, "body")


def upload_parts(asked: Asked) -> tuple[dict[str, Any], bytes]:
    """What a multipart upload says of the object, and its bytes."""
    found = re.search(r'boundary="?([^";]+)', asked.headers["content-type"])
    assert found, "a multipart upload names its boundary"
    parts = asked.body.split(b"--" + found[1].strip("'").encode())
    assert len(parts) == 4 and parts[3].strip() == b"--", "a multipart upload has two parts, and ends"
    said, content = (part.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for part in parts[1:3])
    return json.loads(said), content


# -- documents -------------------------------------------------------------------------------------------------------------


def _documents(host: str) -> tuple[str, ...]:
    found = _REGIONAL.fullmatch(host)
    assert found and found["api"] in APIS, f"nobody plays {host}"
    return APIS[found["api"]]


@functools.cache
def _document(name: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((DOCUMENTS / f"{name}.json").read_bytes())
    return said


@functools.cache
def _methods(name: str) -> list[tuple[dict[str, Any], re.Pattern[str], bool]]:
    """Of the whole document, each with its path as a pattern; the most exact first."""
    document = _document(name)
    found = []
    for method in _walked(document):
        found.append((method, document["servicePath"] + method["path"], False))
        if method.get("supportsMediaDownload"):
            found.append((method, "download/" + document["servicePath"] + method["path"], False))
        media = method.get("mediaUpload", {}).get("protocols", {})
        found += [(method, protocol["path"].lstrip("/"), True) for protocol in media.values()]
    found.sort(key=lambda one: -len(re.sub(r"\{[^}]*\}", "", one[1])))
    return [(method, _pattern(path, method.get("parameters", {})), upload) for method, path, upload in found]


def _walked(part: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield from part.get("methods", {}).values()
    for inner in part.get("resources", {}).values():
        yield from _walked(inner)


def _pattern(path: str, parameters: Mapping[str, Any]) -> re.Pattern[str]:
    """`v1/{+name}:deleteVersion`, where `name` has a pattern of its own."""
    pieces = re.split(r"\{(\+?[\w.$]+)\}", path)
    for at in range(1, len(pieces), 2):
        name = pieces[at].lstrip("+")
        own = parameters.get(name, {}).get("pattern", "").strip("^$") if pieces[at].startswith("+") else ""
        pieces[at] = f"(?P<{_named(name)}>{own or '[^/]+'})"
    pieces[0::2] = [re.escape(piece) for piece in pieces[0::2]]
    return re.compile("".join(pieces))


def _named(name: str) -> str:
    return name.replace(".", "__")


def _plain(name: str) -> str:
    return name.replace("__", ".")


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)
