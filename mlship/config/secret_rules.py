"""Rules across the keys that name secrets, and those of who may call."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import get_args

from mlship.config.facts import Facts, Problem, Rule
from mlship.config.schema import TargetName
from mlship.config.secrets import PLACES, REFERENCE, STORES, WITH_SECRETS, check_stored, named_by, source_of
from mlship.config.words import clipped, nearest


def secrets_have_places(facts: Facts) -> Iterator[Problem]:
    targets = get_args(TargetName)
    for name, sources in facts.document.secrets.items():
        if name in facts.document.env:
            yield Problem(("secrets", name), f"{name} stands in env too", "keep one of them")
        if not sources:
            yield Problem(("secrets", name), "it says no place for any target", f"write {name}: {{docker: env}}")
        for target, text in sources.items():
            path = ("secrets", name, target)
            if target not in targets:
                near = nearest(target, targets)
                yield Problem(
                    path, f"there is no target {clipped(target)}", f"did you mean {near}?" if near else "write docker"
                )
            elif target in (*WITH_SECRETS, *STORES):
                yield from _source_problem(path, name, text)


def _source_problem(path: tuple[str, ...], name: str, text: str) -> Iterator[Problem]:
    """What is no place is not repeated: it may be the value itself, written here by mistake."""
    try:
        if path[-1] in STORES:
            check_stored(path[-1], text)
        else:
            source_of(name, text)
    except ValueError as error:
        what, _, fix = str(error).partition("; ")
        yield Problem(path, what, fix)


def keys_of_certificates_are_secrets(facts: Facts) -> Iterator[Problem]:
    tls = facts.document.targets.docker.tls
    path = ("targets", "docker", "tls", "key")
    if tls and not tls.key.startswith(REFERENCE):
        yield Problem(path, "this names no secret", "write secret:NAME, with NAME a key of secrets")
    elif tls and named_by(tls.key) not in facts.document.secrets:
        fix = f'write secrets: {{{clipped(named_by(tls.key))}: {{docker: "file:PATH"}}}}'
        yield Problem(path, f"there is no secret {clipped(named_by(tls.key))}", fix, "missing-key")


def callers_can_be_told_apart(facts: Facts) -> Iterator[Problem]:
    """A service with serve.auth has what it needs to judge callers, on the target that it is for."""
    auth = facts.document.serve.auth
    if auth is None:
        if facts.document.public and facts.document.target in STORES:
            fix = "write serve.auth: {api_keys: secret:NAME}, or delete public"
            yield Problem(("public",), "everybody on the internet could call it: serve.auth is not set", fix, "open-to-all")
        return
    path = ("serve", "auth")
    if auth.api_keys is None and auth.jwt is None:
        fix = "write api_keys: secret:NAME, or jwt: {issuer: ..., audience: ..., jwks: ...}"
        yield Problem(path, "nothing in it lets anybody in", fix, "missing-key")
    if auth.api_keys is not None:
        yield from secret_problem(facts, (*path, "api_keys"), auth.api_keys)
    if auth.jwt is None:
        return
    place = (*path, "jwt", "jwks")
    if auth.jwt.jwks.startswith(REFERENCE):
        yield from secret_problem(facts, place, auth.jwt.jwks)
    elif not re.fullmatch(r"https://[^\s@]+|http://(127\.0\.0\.1|localhost|\[::1\])[:/][^\s@]*", auth.jwt.jwks):
        what = "this is neither a URL that starts with https:// nor secret:NAME"
        yield Problem(place, what, "name the provider's jwks_uri, or a secret with its JWK set")
    elif facts.document.target == "docker" and not facts.document.targets.docker.egress:
        fix = "write egress: true under targets.docker, or put the provider's JWK set into a secret: jwks: secret:NAME"
        yield Problem(place, "replicas on the target docker reach no other machine, and no identity provider either", fix)


def secret_problem(facts: Facts, path: tuple[str, ...], reference: str) -> Iterator[Problem]:
    """What is no name of a secret is not repeated: it may be the value itself, written here by mistake."""
    name = named_by(reference)
    if not reference.startswith(REFERENCE):
        yield Problem(path, "this names no secret", "write secret:NAME, with NAME a key of secrets")
    elif name not in facts.document.secrets:
        target = facts.document.target
        fix = f"write secrets: {{{clipped(name)}: {{{target}: {PLACES.get(target, 'env')}}}}}"
        yield Problem(path, f"there is no secret {clipped(name)}", fix, "missing-key")


SECRET_RULES: tuple[Rule, ...] = (
    secrets_have_places,
    keys_of_certificates_are_secrets,
    callers_can_be_told_apart,
)
