"""s3://BUCKET/KEY: one object, or all below KEY/. Credentials, region, endpoint and proxies as boto3 finds them.

Redirects: botocore follows none but to another region of the same service (S3RegionRedirector, botocore 1.44), so no answer
leads elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import islice
from typing import Any

from mlship.config.addresses import SCHEMES
from mlship.errors import MlshipError, need
from mlship.sources.base import (
    MAX_FILES,
    PIECE,
    Body,
    Cut,
    Item,
    Opening,
    Snapshot,
    base_name,
    changed,
    denied,
    missing,
    too_many,
    unreachable,
)
from mlship.sources.listing import folder_snapshot, object_snapshot

_LOGIN = "aws sso login, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_CODES_DENIED = frozenset(
    ("403", "401", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "Forbidden")
)
_CODES_MISSING = frozenset(("404", "NoSuchKey", "NoSuchBucket", "NoSuchVersion", "NotFound"))
# A version that S3 never had is a malformed argument to it.
_CODES_NO_VERSION = frozenset(("400", "InvalidArgument"))
_CODES_CHANGED = frozenset(("412", "PreconditionFailed", "416", "InvalidRange"))


class S3Source:
    """settings: `endpoint_url`, `profile_name`, `region_name`, where something else than the environment says them."""

    def __init__(self, opening: Opening, settings: Mapping[str, str] | None = None) -> None:
        found = SCHEMES["s3"].shape.fullmatch(opening.address)
        assert found, "mlship.yaml was checked"
        self._opening = opening
        self._bucket, self._path = found["bucket"], found["path"]
        self._client = _client(opening, settings or {})

    def snapshot(self, version: str = "") -> Snapshot:
        """An object of that key counts, else all below it. version: an object's version, where the bucket keeps them."""
        with self._errors(self._opening.address):
            found = None if self._path.endswith("/") else self._object(version)
            return found or self._folder()

    @contextmanager
    def read(self, item: Item, start: int) -> Iterator[Body]:
        key, _, version = item.key.partition("\0")
        named = {"VersionId": version} if version else {}
        begin = {"Range": f"bytes={start}-"} if start else {}
        with self._errors(f"s3://{self._bucket}/{key}"):
            answer = self._client.get_object(Bucket=self._bucket, Key=key, IfMatch=item.state, **named, **begin)
            with closing(answer["Body"]) as body:
                yield Body(start if "ContentRange" in answer else 0, body.iter_chunks(PIECE))

    def stat(self, key: str) -> Item | None:
        """One object of the bucket; None where there is none. Raises as `snapshot`."""
        with self._errors(f"s3://{self._bucket}/{key}"):
            return self._head(key, "")

    def _object(self, version: str) -> Snapshot | None:
        return object_snapshot(self._opening, self._path, version, "version", self._head)

    def _head(self, key: str, version: str) -> Item | None:
        named = {"VersionId": version} if version else {}
        try:
            head = self._client.head_object(Bucket=self._bucket, Key=key, **named)
        except need("botocore.exceptions", "aws").ClientError as error:
            code = _code(error)
            if code in _CODES_MISSING or (version and code in _CODES_NO_VERSION):
                return None
            raise
        told = str(head.get("VersionId") or "")
        told = "" if told == "null" else told
        return Item(base_name(key), f"{key}\0{told}", int(head["ContentLength"]), str(head["ETag"]), _md5(head))

    def _folder(self) -> Snapshot:
        prefix = f"{self._path.rstrip('/')}/"
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        try:
            found = list(islice((entry for page in pages for entry in page.get("Contents", ())), MAX_FILES + 1))
        except need("botocore.exceptions", "aws").ClientError as error:
            if _code(error) not in _CODES_MISSING:
                raise
            found = []
        if len(found) > MAX_FILES:
            raise too_many(self._opening.address, self._opening.where)
        items = (
            Item(str(entry["Key"])[len(prefix) :], f"{entry['Key']}\0", int(entry["Size"]), str(entry["ETag"]))
            for entry in found
        )
        fix = "correct model.uri; aws s3 ls shows what is there"
        return folder_snapshot(self._opening, self._path, items, fix)

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """boto3's errors in words; what breaks on the line is Cut."""
        exceptions = need("botocore.exceptions", "aws")
        try:
            yield
        except exceptions.ClientError as error:
            raise self._refused(what, error) from None
        except (
            exceptions.ResponseStreamingError,
            exceptions.IncompleteReadError,
            exceptions.HTTPClientError,
            exceptions.ConnectionError,
        ) as error:
            raise Cut(_line(error)) from None
        except (
            exceptions.BotoCoreError
        ) as error:  # credentials that are missing, of a profile that is not there, of a login that ended
            raise denied(f"{what} cannot be asked for: {_line(error)}", self._opening.where, _LOGIN) from None

    def _refused(self, what: str, error: Any) -> MlshipError:
        code, where = _code(error), self._opening.where
        if code in _CODES_DENIED:
            said = f"{what} may not be read with these credentials ({code}; S3 says this of missing objects, too)"
            return denied(said, where, f"give them s3:GetObject and s3:ListBucket on {self._bucket}, or {_LOGIN}")
        if code in _CODES_MISSING:
            return missing(f"there is no {what} ({code})", where)
        if code in _CODES_CHANGED:
            return changed(f"{what} was replaced while it was fetched", where)
        return unreachable(f"{what}: the object store answers {code}", where, "try again later; nothing was changed")


def open_source(opening: Opening) -> S3Source:
    return S3Source(opening)


def _client(opening: Opening, said: Mapping[str, str]) -> Any:
    boto3 = need("boto3", "aws")
    exceptions, config = need("botocore.exceptions", "aws"), need("botocore.config", "aws")
    tries = 1 if opening.is_brief else 3
    settings = config.Config(
        connect_timeout=3 if opening.is_brief else 10,
        read_timeout=5 if opening.is_brief else 60,
        retries={"total_max_attempts": tries, "mode": "standard"},
        user_agent_extra="mlship",
    )
    try:
        session = boto3.session.Session(profile_name=said.get("profile_name"), region_name=said.get("region_name"))
        return session.client("s3", config=settings, endpoint_url=said.get("endpoint_url"))
    except exceptions.BotoCoreError as error:
        raise denied(f"{opening.address} cannot be asked for: {_line(error)}", opening.where, _LOGIN) from None
    except ValueError as error:
        fix = "correct AWS_ENDPOINT_URL"
        raise MlshipError(f"{opening.address} cannot be asked for: {_line(error)}", opening.where, fix, code="usage") from None


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _md5(head: Mapping[str, Any]) -> dict[str, str]:
    """The tag of an object that was put whole and lies in plain or under the store's own key is its MD5.

    https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html (2026-11): otherwise it is not.
    """
    tag = str(head["ETag"]).strip('"')
    is_plain = head.get("ServerSideEncryption") in (None, "AES256") and not head.get("SSECustomerAlgorithm")
    is_md5 = is_plain and len(tag) == 32 and all(letter in "0123456789abcdef" for letter in tag)
    return {"md5": tag} if is_md5 else {}


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
