"""The subscription that is played, in a national cloud: whoever asks for a name of the public one is found out.

    with in_cloud(account, US_GOVERNMENT, folder) as (environ, hosts): ...     # hosts: of all that was asked

The players know the public cloud alone. What arrives is put into its words, and what they answer back into the other's; names that begin
with the public cloud's end the test. Of tokens that is their audience, which each service asks for by its own name.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from inspecting_proxy import Asked, Told, inspecting_proxy

from mlship.targets.azure.cloud import PUBLIC, Cloud

SCORING = {
    "usgov": "inference.ml.azure.us",
    "china": "inference.ml.azure.cn",
}  # from memory: Azure itself tells the whole address
STUDIO = {"usgov": "https://ml.azure.us", "china": "https://ml.azure.cn"}
ACR = "https://containerregistry.azure.net"


def words(cloud: Cloud) -> list[tuple[str, str]]:
    """(there, in the public cloud), the longer ones first."""
    names = ("authority", "arm", "storage", "registry", "vault", "logs")
    pairs = {(getattr(cloud, name), getattr(PUBLIC, name)) for name in names}
    pairs |= {(SCORING[cloud.name], "inference.ml.azure.com"), (cloud.arm.partition("//")[2], PUBLIC.arm.partition("//")[2])}
    pairs |= {(STUDIO[cloud.name], "https://ml.azure.com")}
    return sorted(pairs, key=lambda pair: -len(pair[0]))


@contextmanager
def in_cloud(account: Any, cloud: Cloud, folder: Path) -> Iterator[tuple[Mapping[str, str], set[str]]]:
    pairs, hosts = words(cloud), set[str]()

    def answer(asked: Asked) -> Told:
        hosts.add(asked.host)
        return _there(account.answer(_here(asked, cloud, pairs)), pairs)

    with inspecting_proxy(answer, folder) as environ:
        login = {**account.login.environ, "AZURE_AUTHORITY_HOST": f"https://{cloud.authority}"}
        yield {**environ, **login}, hosts


def _here(asked: Asked, cloud: Cloud, pairs: list[tuple[str, str]]) -> Asked:
    def said(text: str) -> str:
        for there, public in pairs:
            text = text.replace(there, public)
        return text

    def audience(text: str) -> str:
        """ACR takes tokens for the resource manager there."""
        public = ACR if asked.path == "/oauth2/exchange" else PUBLIC.audience
        return public if text == cloud.audience else said(text)

    headers = {name: said(text) for name, text in asked.headers.items()}
    if "authorization" in headers:
        headers["authorization"] = _token(asked.headers["authorization"], audience)
    body = asked.body
    if "json" in asked.headers.get("content-type", "") or "form" in asked.headers.get("content-type", ""):
        body = "&".join(_token(part, audience) for part in said(body.decode()).split("&")).encode()
    query = {name: said(text) for name, text in asked.query.items()}
    return replace(asked, host=said(asked.host), headers=headers, body=body, query=query, target=said(asked.target))


def _token(text: str, audience: Callable[[str], str]) -> str:
    """The token in it, for the service as the public cloud calls it."""
    head, dot, rest = text.rpartition(".made-by-the-fake-login")[0].rpartition(".")
    if not dot:
        return text
    claims = json.loads(base64.urlsafe_b64decode(rest + "=="))
    told = base64.urlsafe_b64encode(json.dumps({**claims, "aud": audience(claims["aud"])}).encode()).rstrip(b"=").decode()
    return f"{head}.{told}.made-by-the-fake-login"


def _there(told: Told, pairs: list[tuple[str, str]]) -> Told:
    def said(text: str) -> str:
        for there, public in pairs:
            text = text.replace(public, there)
        return text

    headers = {name: said(text) for name, text in told.headers.items()}
    is_text = "json" in headers.get("Content-Type", "") and any(public.encode() in told.body for _, public in pairs)
    return replace(told, headers=headers, body=said(told.body.decode()).encode() if is_text else told.body)
