"""Credentials from docker's config.json: `auths`, `credHelpers`, `credsStore` (docs.docker.com, "docker login")."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from mlship.errors import MlshipError
from mlship.oci.registry.credentials import Credentials, CredentialSource
from mlship.oci.registry.reference import is_docker_hub
from mlship.runner import Command, Runner
from mlship.units import Secret

_IDENTITY_USER = "<token>"  # docker-credential-helpers: the secret is an identity token
_HELPER_S = 30.0


def docker_credentials(environ: Mapping[str, str], runner: Runner) -> CredentialSource:
    """What `docker login` left on this machine, read when a registry asks for it.

    The file: $DOCKER_CONFIG/config.json, else ~/.docker/config.json. Raises MlshipError when it cannot be read.
    """
    path = config_path(environ)

    def source(registry: str) -> Credentials | None:
        config = read_config(path)
        helper = helper_for(config, registry)
        found = _helped(helper, registry, runner, environ) if helper else None
        return found or credentials_in(config, registry, str(path))

    return source


def config_path(environ: Mapping[str, str]) -> Path:
    named = environ.get("DOCKER_CONFIG")
    home = environ.get("HOME")
    folder = Path(named) if named else (Path(home) if home else Path.home()) / ".docker"
    return folder / "config.json"


def read_config(path: Path) -> Mapping[str, Any]:
    """The document; empty where there is no file."""
    try:
        config = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not JSON"
        raise MlshipError(
            f"docker's credentials cannot be read: {reason}",
            where=str(path),
            fix="repair the file, or move it away and run docker login again",
            code="docker-config",
        ) from None
    return config if isinstance(config, dict) else {}


def helper_for(config: Mapping[str, Any], registry: str) -> str:
    """The suffix of the helper program that is asked; empty for none. Pure."""
    helpers = _section(config, "credHelpers")
    for key in _alike(helpers, registry):
        if isinstance(helpers[key], str):
            return str(helpers[key])
    store = config.get("credsStore")
    return store if isinstance(store, str) else ""


def credentials_in(config: Mapping[str, Any], registry: str, source: str) -> Credentials | None:
    """What stands in `auths` itself. Pure. Raises MlshipError for an entry that is not one; never shows it."""
    auths = _section(config, "auths")
    for key in _alike(auths, registry):
        entry = auths[key]
        if isinstance(entry, dict) and (found := _entry(entry, key, source)):
            return found
    return None


def _entry(entry: Mapping[str, Any], key: str, source: str) -> Credentials | None:
    token = entry.get("identitytoken")
    if isinstance(token, str) and token:
        return Credentials("", Secret(token), source)
    user, password = entry.get("username"), entry.get("password")
    if isinstance(user, str) and isinstance(password, str) and user:
        return Credentials(user, Secret(password), source)
    if not (packed := entry.get("auth")):
        return None
    try:
        user, colon, password = base64.b64decode(packed, validate=True).decode().partition(":")
    except (binascii.Error, ValueError, TypeError):
        user, colon, password = "", "", ""
    if not colon or not user:
        raise MlshipError(
            f"the entry auths.{key}.auth is not base64 of user:password",
            where=source,
            fix=f"docker login {key}",
            code="docker-config",
        )
    return Credentials(user, Secret(password.rstrip("\0")), source)


def _helped(helper: str, registry: str, runner: Runner, environ: Mapping[str, str]) -> Credentials | None:
    """Asks the helper program. Not having any is no error, and what it says then is not shown: it may hold secrets."""
    program = f"docker-credential-{helper}"
    if "/" in helper:
        raise MlshipError(f"{helper!r} is not the name of a credential helper", where=str(config_path(environ)))
    key = registry
    if is_docker_hub(registry):
        known = _said(program, "list", b"", runner, environ)
        key = next(iter(_alike(known, registry)), registry)
    told = _said(program, "get", key.encode(), runner, environ)
    if not told:
        return None
    user, secret = told.get("Username"), told.get("Secret")
    if not isinstance(user, str) or not isinstance(secret, str):
        raise _unclear(program, environ)
    return Credentials("" if user == _IDENTITY_USER else user, Secret(secret), program) if secret else None


def _said(program: str, verb: str, stdin: bytes, runner: Runner, environ: Mapping[str, str]) -> Mapping[str, Any]:
    """Empty where the program is missing or has nothing."""
    try:
        result = runner.run(Command((program, verb), environ=environ, stdin=stdin, timeout_s=_HELPER_S))
    except MlshipError as error:
        if error.code == "missing-program":  # docker's own configuration outlives the desktop that brought the helper
            return {}
        raise
    if not result.ok:
        return {}
    try:
        told = json.loads(result.stdout)
    except ValueError:
        raise _unclear(program, environ) from None
    if not isinstance(told, dict):
        raise _unclear(program, environ)
    return told


def _unclear(program: str, environ: Mapping[str, str]) -> MlshipError:
    return MlshipError(
        f"{program} did not answer with credentials",
        where=str(config_path(environ)),
        fix=f"try: echo REGISTRY | {program} get",
        code="docker-config",
    )


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = config.get(name)
    return section if isinstance(section, dict) else {}


def _alike(keys: Iterable[str], registry: str) -> list[str]:
    """The keys that mean the registry, the one that is written just so first.

    `https://host:5000/v1/` means `host:5000`: docker itself compares no more. Docker Hub is logged in to under another name
    than it is pulled from.
    """
    found = [key for key in keys if _host(key) == registry or (is_docker_hub(_host(key)) and is_docker_hub(registry))]
    return sorted(found, key=lambda key: key != registry)


def _host(key: str) -> str:
    bare = key.partition("://")[2] or key
    return bare.partition("/")[0].lower()
