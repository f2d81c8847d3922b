"""Secrets of AWS Secrets Manager as variables for the model's code: read once, when the function starts.

Lambda hands a function no secret as other platforms do, and a value in its configuration could be read by everybody who may look at
functions. So the configuration has references, and this process asks with the role that the function has. Standard library only:
requests are signed as "Signature Version 4" says (AWS IAM user guide, "Create a signed AWS API request", read 2026-11).
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import ssl
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

REFERENCE = (
    "MLSHIP_AWS_SECRET_"  # MLSHIP_AWS_SECRET_CHURN_KEYS: name or ARN, behind a blank the version's id where one is meant
)
SERVICE = "secretsmanager"
WAIT_S = 5.0
ALGORITHM = "AWS4-HMAC-SHA256"


class NotGiven(Exception):
    """A secret cannot be read. The message names it, and nothing of its value."""


Ask = Callable[[str, Mapping[str, str], bytes], tuple[int, bytes]]  # address, headers, body of a POST -> status, body


def take_aws_secrets(environ: MutableMapping[str, str], ask: Ask | None = None) -> None:
    """Sets the variables that references are there for. Raises NotGiven; a service that should be closed is never started open."""
    for key in sorted(key for key in environ if key.startswith(REFERENCE)):
        name, (place, _, version) = key.removeprefix(REFERENCE), environ.pop(key).partition(" ")
        environ[name] = _value(environ, name, place, version, ask or posted)


def posted(address: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
    """Raises OSError, http.client.HTTPException."""
    url = urlsplit(address)
    place = url.netloc
    connection = (
        http.client.HTTPSConnection(place, timeout=WAIT_S, context=ssl.create_default_context())
        if url.scheme == "https"
        else http.client.HTTPConnection(place, timeout=WAIT_S)
    )
    try:
        connection.request("POST", "/", body, dict(headers))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def signed(
    environ: Mapping[str, str], host: str, region: str, headers: Mapping[str, str], body: bytes, now: datetime
) -> dict[str, str]:
    """The headers of a POST to `/` with the signature of the function's role beside them. Pure."""
    moment, day = now.strftime("%Y%m%dT%H%M%SZ"), now.strftime("%Y%m%d")
    said = {"host": host, "x-amz-date": moment, **{name.lower(): value for name, value in headers.items()}}
    if token := environ.get("AWS_SESSION_TOKEN", ""):
        said["x-amz-security-token"] = token
    names = ";".join(sorted(said))
    lines = "".join(f"{name}:{said[name]}\n" for name in sorted(said))
    request = f"POST\n/\n\n{lines}\n{names}\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{day}/{region}/{SERVICE}/aws4_request"
    text = f"{ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{environ.get('AWS_SECRET_ACCESS_KEY', '')}".encode()
    for part in (day, region, SERVICE, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    credential = f"{environ.get('AWS_ACCESS_KEY_ID', '')}/{scope}"
    return {**said, "authorization": f"{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}"}


def _value(environ: Mapping[str, str], name: str, arn: str, version: str, ask: Ask) -> str:
    """arn: or a name in the function's own account and region."""
    parts = arn.split(":")
    region = parts[3] if len(parts) > 3 else environ.get("AWS_REGION", "")
    address = environ.get("AWS_ENDPOINT_URL_SECRETS_MANAGER") or f"https://{SERVICE}.{region}.{_domain(region)}"
    body = json.dumps({"SecretId": arn, **({"VersionId": version} if version else {})}).encode()
    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": f"{SERVICE}.GetSecretValue"}
    try:
        status, said = ask(address, signed(environ, urlsplit(address).netloc, region, headers, body, datetime.now(UTC)), body)
    except (OSError, http.client.HTTPException) as error:
        raise NotGiven(f"the secret of {name} cannot be read: {address} does not answer ({type(error).__name__})") from None
    try:
        told = json.loads(said)
    except ValueError:
        told = {}
    if status != 200 or not isinstance(told.get("SecretString"), str):
        why = str(told.get("__type", "") or status).rpartition("#")[2]
        raise NotGiven(
            f"the secret of {name} cannot be read: Secrets Manager answers {why}; has the function's role the right?"
        )
    return str(told["SecretString"])


def _domain(region: str) -> str:
    """What names of hosts end with in partitions that have functions."""
    return {"cn": "amazonaws.com.cn", "eusc": "amazonaws.eu"}.get(region.partition("-")[0], "amazonaws.com")
