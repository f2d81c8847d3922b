"""Cloud Storage: buckets and objects with generations, small and strict about preconditions. Requests are checked before they come here."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from google_contract import Method, upload_parts
from google_identity import PROJECT
from google_world import No
from inspecting_proxy import Asked, Told

_TIME = "2026-11-23T04:00:00.000Z"


@dataclass
class Object:
    """generation: of its newest write; grows over all objects, and never repeats."""

    raw: bytes
    generation: int
    said: Mapping[str, Any] = field(default_factory=dict)


class Storage:
    """Implements google_world.Player. buckets: name -> what was said of it. foreign: names that other projects have."""

    def __init__(self) -> None:
        self.buckets: dict[str, dict[str, Any]] = {}
        self.objects: dict[tuple[str, str], Object] = {}
        self.foreign: set[str] = set()
        self._generation = 1_700_000_000_000_000

    def __call__(self, method: Method, asked: Asked) -> Any:
        act = getattr(self, "_" + method.name.replace(".", "_"))
        return act(method.params, asked)

    # -- buckets ---------------------------------------------------------------------------------------------------------

    def _buckets_insert(self, params: Mapping[str, str], asked: Asked) -> Any:
        name = asked.json["name"]
        if name in self.buckets or name in self.foreign:
            raise No("ALREADY_EXISTS", "The requested bucket name is not available.")
        self.buckets[name] = asked.json
        return self._bucket(name)

    def _buckets_get(self, params: Mapping[str, str], asked: Asked) -> Any:
        self._of(params["bucket"])
        return self._bucket(params["bucket"])

    def _buckets_list(self, params: Mapping[str, str], asked: Asked) -> Any:
        assert asked.query["project"] == PROJECT
        prefix = asked.query.get("prefix", "")
        return {"kind": "storage#buckets", "items": [self._bucket(name) for name in self.buckets if name.startswith(prefix)]}

    def _buckets_testIamPermissions(self, params: Mapping[str, str], asked: Asked) -> Any:
        self._of(params["bucket"])
        return {"permissions": [f"storage.objects.{verb}" for verb in ("get", "create", "delete")]}

    def _bucket(self, name: str) -> dict[str, Any]:
        said = {key: text for key, text in self.buckets[name].items() if key not in ("location",)}
        location = str(self.buckets[name].get("location", "US")).upper()
        return {**said, "kind": "storage#bucket", "id": name, "location": location, "etag": "CAE=", "metageneration": "1"}

    # -- objects ---------------------------------------------------------------------------------------------------------

    def _objects_insert(self, params: Mapping[str, str], asked: Asked) -> Any:
        self._of(params["bucket"])
        said, raw = upload_parts(asked) if asked.query["uploadType"] == "multipart" else ({}, asked.body)
        key = (params["bucket"], said.get("name") or asked.query["name"])
        self._compare(key, asked)
        self._generation += 1
        self.objects[key] = Object(raw, self._generation, said)
        return self._object(key)

    def _objects_get(self, params: Mapping[str, str], asked: Asked) -> Any:
        key = self._found(params)
        self._compare(key, asked)
        if asked.query.get("alt") != "media":
            return self._object(key)
        kept = self.objects[key]
        digest = base64.b64encode(hashlib.md5(kept.raw).digest()).decode()
        headers = {"x-goog-generation": str(kept.generation), "x-goog-metageneration": "1", "x-goog-hash": f"md5={digest}"}
        return Told(200, {"Content-Type": "application/json", **headers}, kept.raw)

    def _objects_list(self, params: Mapping[str, str], asked: Asked) -> Any:
        self._of(params["bucket"])
        prefix = asked.query.get("prefix", "")
        keys = sorted(key for key in self.objects if key[0] == params["bucket"] and key[1].startswith(prefix))
        return {"kind": "storage#objects", "items": [self._object(key) for key in keys]}

    def _objects_delete(self, params: Mapping[str, str], asked: Asked) -> Any:
        key = self._found(params)
        self._compare(key, asked)
        del self.objects[key]
        return Told(204)

    def _of(self, bucket: str) -> None:
        if bucket in self.foreign:
            raise No("PERMISSION_DENIED", "the caller does not have storage.objects access")
        if bucket not in self.buckets:
            raise No("NOT_FOUND", "The specified bucket does not exist.")

    def _found(self, params: Mapping[str, str]) -> tuple[str, str]:
        self._of(params["bucket"])
        key = (params["bucket"], params["object"])
        if key not in self.objects:
            raise No("NOT_FOUND", f"No such object: {'/'.join(key)}")
        return key

    def _compare(self, key: tuple[str, str], asked: Asked) -> None:
        wanted = asked.query.get("ifGenerationMatch")
        present = self.objects[key].generation if key in self.objects else 0
        if wanted is not None and int(wanted) != present:
            raise No("FAILED_PRECONDITION", "At least one of the pre-conditions you specified did not hold.", status=412)

    def _object(self, key: tuple[str, str]) -> dict[str, Any]:
        kept, (bucket, name) = self.objects[key], key
        return {
            "kind": "storage#object",
            "bucket": bucket,
            "name": name,
            "generation": str(kept.generation),
            "metageneration": "1",
            "size": str(len(kept.raw)),
            "contentType": kept.said.get("contentType", "application/json"),
            "md5Hash": base64.b64encode(hashlib.md5(kept.raw).digest()).decode(),
            "timeCreated": _TIME,
            "updated": _TIME,
        }
