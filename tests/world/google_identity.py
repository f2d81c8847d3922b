"""Who a test is at Google: a service account with a key of its own, made on the spot, and the tokens that it is given.

The clients sign what they send with that key: a token of their own making, or one that they ask oauth2.googleapis.com for. Both are
checked here. A machine's metadata server is not there, as on a laptop.
"""

from __future__ import annotations

import base64
import functools
import json
import time
from pathlib import Path
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from inspecting_proxy import Asked, Told, told

PROJECT = "acme-ml"
EMAIL = f"deployer@{PROJECT}.iam.gserviceaccount.com"
TOKEN_URI = "https://oauth2.googleapis.com/token"
ACCESS_TOKEN = "ya29.of-a-test"
METADATA_HOSTS = ("metadata.google.internal", "169.254.169.254")
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


@functools.cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def credentials_file(folder: Path) -> dict[str, str]:
    """The environment that names it. A person's own configuration of gcloud is not looked at."""
    secret = _key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    said = {
        "type": "service_account",
        "project_id": PROJECT,
        "private_key_id": "1",
        "private_key": secret,
        "client_email": EMAIL,
        "client_id": "1",
        "token_uri": TOKEN_URI,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "credentials.json"
    path.write_text(json.dumps(said))
    return {"GOOGLE_APPLICATION_CREDENTIALS": str(path), "CLOUDSDK_CONFIG": str(folder / "gcloud"), "NO_GCE_CHECK": "true"}


def persons_file(folder: Path) -> dict[str, str]:
    """The same of somebody who has logged in, and is no service account."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "person.json"
    said = {"type": "authorized_user", "client_id": "1", "client_secret": "s", "refresh_token": "r"}
    path.write_text(json.dumps(said))
    return {"GOOGLE_APPLICATION_CREDENTIALS": str(path)}


def identity_told(audience: str, email: str) -> dict[str, str]:
    """iamcredentials, generateIdToken: for whoever may impersonate the account."""
    return {"token": _signed({"aud": audience, "email": email, "iss": "https://accounts.google.com"})}


def token_told(asked: Asked) -> Told:
    """oauth2.googleapis.com/token: a signed statement for an access token, or for one that says who asks (`target_audience`)."""
    said = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
    if said["grant_type"] == "refresh_token":  # a person's
        return told({"access_token": ACCESS_TOKEN, "expires_in": 3599, "token_type": "Bearer"})
    assert said["grant_type"] == _GRANT, said
    claims = claims_of(said["assertion"])
    assert claims["aud"] == TOKEN_URI and claims["iss"] == EMAIL, claims
    if "target_audience" in claims:
        return told(
            {"id_token": _signed({"aud": claims["target_audience"], "email": EMAIL, "iss": "https://accounts.google.com"})}
        )
    return told({"access_token": ACCESS_TOKEN, "expires_in": 3599, "token_type": "Bearer"})


def knows(asked: Asked) -> bool:
    """Whether the request carries a token that was given, or one that the account signed itself."""
    scheme, _, token = asked.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return False
    return token == ACCESS_TOKEN or (token.count(".") == 2 and claims_of(token).get("iss") == EMAIL)


def claims_of(token: str) -> dict[str, str]:
    """Of a token that our key has signed. Raises InvalidSignature for another one's."""
    head, body, signature = token.split(".")
    _key().public_key().verify(_decoded(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
    claims: dict[str, str] = json.loads(_decoded(body))
    return claims


def _signed(claims: dict[str, str]) -> str:
    now = int(time.time())
    parts = [{"alg": "RS256", "typ": "JWT", "kid": "1"}, {**claims, "iat": now, "exp": now + 3600}]
    said = ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
    signature = _key().sign(said.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{said}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
