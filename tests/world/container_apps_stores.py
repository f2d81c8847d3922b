"""Where an account of Azure keeps things: blobs, images, secrets. Images are a real docker-registry's, behind ACR's exchange of tokens."""

from __future__ import annotations

import hashlib
import http.client
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from azure_operations import Login
from inspecting_proxy import Asked, Told, told

BLOBS, REGISTRY, VAULT = ".blob.core.windows.net", ".azurecr.io", ".vault.azure.net"


@dataclass
class Stores:
    """blobs: account/container/name -> bytes and ETag. secrets: address -> versions; disabled: addresses of versions.
    contents: digest -> content id.

    resources: path in lower case -> as it was put.
    """

    registry_port: int
    resources: dict[str, dict[str, Any]] = field(default_factory=dict)
    blobs: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    secrets: dict[str, list[str]] = field(default_factory=dict)
    contents: dict[str, str] = field(default_factory=dict)
    disabled: set[str] = field(default_factory=set)
    calls: Iterator[int] = field(default_factory=itertools.count)
    login: Login = field(default_factory=Login)

    def _blob(self, asked: Asked) -> Told:
        account = asked.host.removesuffix(BLOBS)
        by_key = asked.headers.get("authorization", "").startswith("SharedKey ")
        if not by_key and self.login.refusal(asked, "https://storage.azure.com"):
            return _storage(401, "NoAuthenticationInformation")
        if not any(one["name"] == account for one in self.resources.values()):
            raise AssertionError(f"there is no account {account}: its name leads nowhere")
        container, _, name = asked.path.strip("/").partition("/")
        if asked.query.get("restype") == "container":
            assert asked.method == "PUT"
            is_new = f"{account}/{container}" not in self.blobs
            self.blobs.setdefault(f"{account}/{container}", (b"", ""))
            return Told(201) if is_new else _storage(409, "ContainerAlreadyExists")
        key = f"{account}/{container}/{name}"
        present = self.blobs.get(key)
        if f"{account}/{container}" not in self.blobs:
            return _storage(404, "ContainerNotFound")
        if asked.method == "PUT":
            only, none = asked.headers.get("if-match"), asked.headers.get("if-none-match")
            if only and present is None:
                return _storage(412, "ConditionNotMet")
            if (none == "*" and present) or (only and present and present[1] != only):
                return _storage(409 if none else 412, "BlobAlreadyExists" if none else "ConditionNotMet")
            self.blobs[key] = (
                asked.body,
                f'"0x{hashlib.sha256(asked.body + str(next(self.calls)).encode()).hexdigest()[:15].upper()}"',
            )
            return Told(201, {"ETag": self.blobs[key][1], "Last-Modified": "Mon, 23 Nov 2026 00:00:00 GMT"})
        if present is None:
            return _storage(404, "BlobNotFound")
        if asked.method == "DELETE":
            del self.blobs[key]
            return Told(202)
        size = len(present[0])
        headers = {"ETag": present[1], "Last-Modified": "Mon, 23 Nov 2026 00:00:00 GMT", "x-ms-blob-type": "BlockBlob"}
        headers |= {"Content-Type": "application/octet-stream", "Content-Range": f"bytes 0-{size - 1}/{size}"}
        return Told(206 if "x-ms-range" in asked.headers else 200, headers, present[0])

    def _registry(self, asked: Asked) -> Told:
        if asked.path == "/oauth2/exchange":
            form = parse_qs(asked.body.decode())
            assert form["grant_type"] == ["access_token"] and form["service"] == [asked.host], form
            assert self.login.claims(_with(asked, form["access_token"][0]))["aud"] == "https://containerregistry.azure.net"
            return told({"refresh_token": "refresh-of-acr"})
        if asked.path == "/oauth2/token":
            form = parse_qs(asked.body.decode())
            assert form["grant_type"] == ["refresh_token"] and form["refresh_token"] == ["refresh-of-acr"], form
            return told({"access_token": f"acr {form['scope'][0]}".replace(" ", "+")})
        if not asked.headers.get("authorization", "").startswith("Bearer acr+"):
            challenge = f'Bearer realm="https://{asked.host}/oauth2/token",service="{asked.host}"'
            return told({"errors": [{"code": "UNAUTHORIZED"}]}, 401, WWW_Authenticate=challenge)
        answer = self._stored(asked)
        tag = re.fullmatch(r"/v2/.+/manifests/sha256-([0-9a-f]{64})", asked.path)
        if tag and asked.method == "PUT" and answer.status == 201:
            self.contents[answer.headers["Docker-Content-Digest"]] = f"sha256:{tag[1]}"
        return answer

    def _stored(self, asked: Asked) -> Told:
        upstream = http.client.HTTPConnection("127.0.0.1", self.registry_port, timeout=30)
        dropped = ("connection", "host", "authorization", "transfer-encoding", "content-length", "accept-encoding")
        headers = {name: text for name, text in asked.headers.items() if name not in dropped}
        headers |= {"Host": asked.host, "X-Forwarded-Proto": "https"}
        upstream.request(asked.method, asked.target or asked.path, asked.body or None, headers)
        answer = upstream.getresponse()
        body = answer.read()
        upstream.close()
        kept = {name: text for name, text in answer.getheaders() if name.lower() not in ("content-length", "transfer-encoding")}
        if asked.method == "HEAD":
            kept["X-Content-Length"] = answer.getheader("Content-Length") or "0"
        return Told(answer.status, kept, body)

    def _vault(self, asked: Asked) -> Told:
        if self.login.refusal(asked, "https://vault.azure.net"):
            return Told(401)
        url = f"https://{asked.host}{asked.path.removesuffix('/versions')}"
        if url not in self.secrets:
            return told({"error": {"code": "SecretNotFound", "message": f"{url} was not found"}}, 404)
        versions = [
            {"id": f"{url}/{version}", "attributes": {"enabled": f"{url}/{version}" not in self.disabled, "created": number}}
            for number, version in enumerate(self.secrets[url])
        ]
        return told({"value": versions, "nextLink": None})


def _with(asked: Asked, token: str) -> Asked:
    return Asked(asked.method, asked.host, asked.path, {}, {"authorization": f"Bearer {token}"})


def _storage(status: int, code: str) -> Told:
    body = f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>as the test says</Message></Error>'
    return Told(status, {"x-ms-error-code": code, "Content-Type": "application/xml"}, body.encode())
