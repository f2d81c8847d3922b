"""The certificate that callers see: whether it can serve, judged by a handshake in memory, and how one's own calls pin it.

The key gets no name on this machine's disk: a command that is killed leaves nothing behind.
"""

from __future__ import annotations

import os
import re
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from mlship.targets.base import Certificate
from mlship.units import Secret

WARN_BEFORE_S = 14 * 86_400
# X509_V_FLAG_NO_CHECK_TIME (openssl/x509_vfy.h); the ssl module has no name for it. Times are judged by ours.
NO_CHECK_TIME = 0x200000
_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----[^-]+-----END \1-----", re.ASCII)
_TOO_WEAK = ("EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL", "CA_MD_TOO_WEAK")


class Unfit(ValueError):
    """A certificate or key that cannot serve. whose: `cert` or `key`; fix: what to do."""

    def __init__(self, whose: str, what: str, fix: str) -> None:
        super().__init__(what)
        self.whose = whose
        self.fix = fix


@dataclass(frozen=True)
class Validity:
    """Seconds since the epoch."""

    begins: float
    ends: float


def certificate_from(cert: str, key: str) -> Certificate:
    """From the text of two PEM files. Raises Unfit."""
    certificates = [block.group() for block in _BLOCK.finditer(cert) if block[1] in ("CERTIFICATE", "TRUSTED CERTIFICATE")]
    keys = [block for block in _BLOCK.finditer(key) if block[1].endswith("PRIVATE KEY")]
    if not certificates:
        raise Unfit("cert", "there is no certificate in it", "name a PEM file: -----BEGIN CERTIFICATE-----")
    if not keys:
        raise Unfit("key", "there is no private key in it", "name a PEM file: -----BEGIN PRIVATE KEY-----")
    if "ENCRYPTED" in keys[0].group():
        raise Unfit("key", "the key is locked with a passphrase", "openssl pkey -in KEY -out UNLOCKED, and keep that file safe")
    return Certificate("\n".join([*certificates, ""]), Secret(keys[0].group() + "\n"))


def validity(certificate: Certificate) -> Validity:
    """How long it holds; raises Unfit when certificate and key could not answer a caller at all."""
    server, client = _server(certificate), pinned(certificate.chain)
    try:
        told = _shaken(server, client)
    except ssl.SSLCertVerificationError as error:
        raise Unfit(
            "cert", f"callers would not take it: {error.verify_message}", "ask for a certificate for a server"
        ) from None
    except ssl.SSLError as error:
        raise Unfit("cert", f"it cannot serve: {error.reason}", "ask for another certificate") from None
    return Validity(ssl.cert_time_to_seconds(told["notBefore"]), ssl.cert_time_to_seconds(told["notAfter"]))


def pinned(chain: str) -> ssl.SSLContext:
    """Takes this very certificate, whatever name it is made out to, and no other one. chain: its PEM, itself first.

    Its time does not count: an expired one must not keep anybody from rolling back.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | NO_CHECK_TIME
    context.load_verify_locations(cadata=_first(chain))
    return context


def is_pinned(chain: str, presented: bytes | None) -> bool:
    """Whether what the other side presented (DER) is the first certificate of the chain."""
    return presented == ssl.PEM_cert_to_DER_cert(_first(chain))


def _first(chain: str) -> str:
    found = _BLOCK.search(chain)
    return found.group() + "\n" if found else ""


def _server(certificate: Certificate) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        with ExitStack() as stack:
            chain, key = (stack.enter_context(_path(text)) for text in (certificate.chain, certificate.key.reveal()))
            context.load_cert_chain(chain, key, password="")
    except ssl.SSLError as error:
        raise _unfit(error) from None
    return context


def _unfit(error: ssl.SSLError) -> Unfit:
    if error.reason == "KEY_VALUES_MISMATCH":
        fix = "name the key that the certificate was made with; the server's own certificate stands first in its file"
        return Unfit("key", "the key does not belong to the certificate", fix)
    if error.reason in _TOO_WEAK:
        return Unfit("cert", f"it is too weak to be taken today ({error.reason})", "ask for one with a longer key and SHA-256")
    return Unfit(
        "cert", f"certificate and key cannot be read: {error.reason or 'they are damaged'}", "write them again, as PEM"
    )


@contextmanager
def _path(text: str) -> Iterator[str]:
    """A path that gives the text: memory that no other process can name, where the system has such; else a file of one's own."""
    with tempfile.TemporaryFile("w+") if not hasattr(os, "memfd_create") else os.fdopen(os.memfd_create("pem"), "w+") as file:
        file.write(text)
        file.flush()
        file.seek(0)
        yield f"/dev/fd/{file.fileno()}"


def _shaken(server: ssl.SSLContext, client: ssl.SSLContext) -> Any:
    """What the client learns of the server's certificate."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(to_client, to_server)
    answering = server.wrap_bio(to_server, to_client, server_side=True)
    waiting = [asking, answering]
    for _ in range(10):
        waiting = [side for side in waiting if not _is_done(side)]
        if not waiting:
            return asking.getpeercert()
    raise ssl.SSLError(0, "the handshake does not end")


def _is_done(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
