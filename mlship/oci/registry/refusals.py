"""What a registry does not do -> errors with the right words, exit code and remedy."""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import urlsplit

from mlship.errors import Exit, MlshipError
from mlship.oci.registry.connection import Answer, Cut
from mlship.oci.registry.retrying import is_passing

AGAIN = "run it again: what has arrived is kept"
_OTHER_FORM = {"MANIFEST_INVALID", "UNSUPPORTED"}  # distribution-spec 1.1, Error Codes
_OTHER_TAG = {"TAG_INVALID", "TAG_ALREADY_EXISTS", "ImageTagAlreadyExistsException", "PRECONDITION"}  # ECR, Harbor


def unreachable(registry: str, cut: Cut) -> MlshipError:
    """Exit 13; a certificate that is not trusted ends with exit 8."""
    if cut.trouble == "certificate":
        return MlshipError(
            f"the certificate of the registry {registry} is not trusted: {cut.reason}",
            where=registry,
            fix="name the file of its certificate authority in SSL_CERT_FILE",
            exit=Exit.DENIED,
            code="registry-untrusted",
        )
    if cut.trouble == "tls":
        return MlshipError(
            f"the registry {registry} does not speak TLS as it should: {cut.reason}",
            where=registry,
            fix="check host and port; only registries on this machine are spoken to without TLS",
            exit=Exit.UNREACHABLE,
            code="registry-unreachable",
        )
    return MlshipError(
        f"the registry {registry} does not answer: {cut.reason}",
        where=registry,
        fix=f"check its name, the network, HTTPS_PROXY and SSL_CERT_FILE, then {AGAIN}",
        exit=Exit.UNREACHABLE,
        code="registry-unreachable",
    )


def refused(registry: str, what: str, answer: Answer, who: str = "") -> MlshipError:
    """An answer that is not the one that was asked for. what: `pushing team/churn`. who: the user, and where that stands."""
    said = reasons(answer)
    details = [f"{registry} says: {line}" for line in said]
    if answer.status in (401, 403):
        return _denied(registry, what, answer.status, who, details)
    if answer.status == 404:
        return MlshipError(
            f"{registry} does not know what {what} needs (404)",
            where=registry,
            fix="check the repository and the tag; some registries want a repository to be created first",
            code="registry-not-found",
            details=details,
        )
    if is_passing(answer.status):
        why = "asks for fewer requests" if answer.status == 429 else "is in trouble"
        return MlshipError(
            f"{registry} {why}: it keeps answering {answer.status} to {what}",
            where=registry,
            fix=f"wait a little, then {AGAIN}",
            exit=Exit.UNREACHABLE,
            code="registry-busy",
            details=details,
        )
    if answer.status == 413:
        return MlshipError(
            f"{registry} refuses the size of a request (413) while {what}",
            where=registry,
            fix="raise the limit of the proxy before it (nginx: client_max_body_size 0)",
            exit=Exit.BUILD_FAILED,
            code="registry-too-large",
            details=details,
        )
    if said and 400 <= answer.status < 500:
        return _refused_with_reason(registry, what, answer, details)
    return nonsense(registry, f"it answered {answer.status} to {what}", details)


def nonsense(registry: str, what: str, details: Iterable[str] = ()) -> MlshipError:
    """Not what a registry answers: exit 5."""
    return MlshipError(
        f"{registry} does not answer as a registry does: {what}",
        where=registry,
        fix="check that this address is a registry, and what proxy stands before it",
        exit=Exit.BUILD_FAILED,
        code="registry-protocol",
        details=details,
    )


def reasons(answer: Answer) -> list[str]:
    """What the registry gives as reasons: `DENIED requested access to the resource is denied`."""
    try:
        errors = json.loads(answer.body)["errors"]
        return [_clean(f"{error.get('code', '')} {error.get('message', '')}") for error in errors[:5]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def codes(answer: Answer) -> set[str]:
    """The machine's words of it: `DIGEST_INVALID` (distribution-spec 1.1, Error Codes)."""
    return {reason.partition(" ")[0] for reason in reasons(answer)}


def place(url: str) -> str:
    """An address to show: without query, which may be signed, and without credentials."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _refused_with_reason(registry: str, what: str, answer: Answer, details: list[str]) -> MlshipError:
    """Exit 5: it is a registry, and it has rules of its own."""
    given = codes(answer)
    if given & _OTHER_FORM or answer.status == 415:
        fix = "push it in another form: mlship build --push-as docker-v2s2,single,gzip"
    elif given & _OTHER_TAG or answer.status in (409, 412):
        fix = "push to another tag: this one may not move, or the registry's rules do not allow it"
    else:
        fix = "change what the registry names, or its rules"
    return MlshipError(
        f"{registry} refuses {what} ({answer.status}): {'; '.join(reasons(answer))}",
        where=registry,
        fix=fix,
        exit=Exit.BUILD_FAILED,
        code="registry-refused",
        details=details,
    )


def _denied(registry: str, what: str, status: int, who: str, details: list[str]) -> MlshipError:
    if not who:
        sentence = f"{registry} wants credentials for {what}, and there are none"
    elif status == 403:
        sentence = f"{registry} does not allow {what} to {who}"
    else:
        sentence = f"{registry} does not accept the credentials of {who} for {what}"
    allow = ", or give this user the right" if who and status == 403 else ""
    return MlshipError(
        f"{sentence} ({status})",
        where=registry,
        fix=f"docker login {registry}{allow}",
        exit=Exit.DENIED,
        code="registry-denied",
        details=details,
    )


def _clean(text: str) -> str:
    return "".join(sign if sign.isprintable() else " " for sign in text).strip()[:300]
