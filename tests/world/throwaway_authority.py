"""A certificate authority that exists for one test: made on the spot, a certificate for each host that is asked for."""

from __future__ import annotations

import datetime
import functools
import ipaddress
import ssl
import threading
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_DAY = datetime.timedelta(days=1)


class Authority:
    """bundle: the one certificate that clients have to trust, as a PEM file in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "an inspecting proxy of a test")])
        self._leaf_key = ec.generate_private_key(ec.SECP256R1())
        self._lock = threading.Lock()
        self._own = self._signed(self._name, self._key, ca=True)
        self.bundle = folder / "authority.pem"
        self.bundle.write_bytes(self._own.public_bytes(Encoding.PEM))

    def context(self, host: str) -> ssl.SSLContext:
        """Of a server that proves to be `host`."""
        with self._lock:
            return self._made(host)

    @functools.cache  # noqa: B019 -- an authority lives as long as its test
    def _made(self, host: str) -> ssl.SSLContext:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host[:64])])
        certificate = self._signed(subject, self._leaf_key, ca=False, host=host)
        path = self._folder / f"{host.replace(':', '_')}.pem"
        secret = self._leaf_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        path.write_bytes(certificate.public_bytes(Encoding.PEM) + secret)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        context.set_alpn_protocols(["http/1.1"])
        return context

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, ca: bool, host: str = "") -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        built = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=0 if ca else None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(_usage(ca), critical=True)
        )
        if host:
            server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
            built = built.add_extension(server, critical=False)
            built = built.add_extension(x509.SubjectAlternativeName([_alternative(host)]), critical=False)
        return built.sign(self._key, hashes.SHA256())


def _usage(ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
