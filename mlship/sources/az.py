"""Azure's blob storage: az://CONTAINER/PATH of the account that the environment names, or one that the address names.

abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH and wasbs://CONTAINER@ACCOUNT.blob.core.windows.net/PATH are what Spark and
MLflow write. Settings are those of the az command: AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_ACCOUNT with
AZURE_STORAGE_KEY or AZURE_STORAGE_SAS_TOKEN, else azure-identity's DefaultAzureCredential. Redirects are not followed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any

from mlship.config.addresses import SCHEMES, scheme_of
from mlship.errors import MlshipError, need
from mlship.sources.base import (
    MAX_FILES,
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

_LOGIN = "az login, or set AZURE_STORAGE_CONNECTION_STRING; the role is Storage Blob Data Reader"
_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_DENIED = (401, 403)
_CHANGED = (409, 412, 416)


class AzSource:
    def __init__(self, opening: Opening) -> None:
        found = SCHEMES[scheme_of(opening.address)].shape.fullmatch(opening.address)
        assert found, "mlship.yaml was checked"
        said = found.groupdict()
        self._opening = opening
        self._path = said["path"]
        self._container = _container(opening, said["container"], said.get("account") or "", said.get("cloud") or "")

    def snapshot(self, version: str = "") -> Snapshot:
        found = None if self._path.endswith("/") else self._object(version)
        return found or self._folder()

    @contextmanager
    def read(self, item: Item, start: int) -> Iterator[Body]:
        key, _, version = item.key.partition("\0")
        conditions = need("azure.core", "azure").MatchConditions
        named = {"version_id": version} if version else {}
        with self._errors(self._named(key)):
            blob = self._container.get_blob_client(key)
            stream = blob.download_blob(
                offset=start or None, etag=item.state, match_condition=conditions.IfNotModified, max_concurrency=1, **named
            )
            yield Body(start, stream.chunks())

    def stat(self, key: str) -> Item | None:
        """One object of the container; None where there is none. Raises as `snapshot`."""
        return self._stat(key, "")

    def _object(self, version: str) -> Snapshot | None:
        return object_snapshot(self._opening, self._path, version, "version", self._stat)

    def _stat(self, key: str, version: str) -> Item | None:
        exceptions = need("azure.core.exceptions", "azure")
        named = {"version_id": version} if version else {}
        with self._errors(self._named(key)):
            try:
                said = self._container.get_blob_client(key).get_blob_properties(**named)
            except exceptions.ResourceNotFoundError:
                return None
        return None if _is_folder_mark(said) else _item(said, base_name(key), key)

    def _folder(self) -> Snapshot:
        prefix = f"{self._path.rstrip('/')}/"
        exceptions = need("azure.core.exceptions", "azure")
        with self._errors(self._opening.address):
            try:
                found = list(islice(self._container.list_blobs(name_starts_with=prefix), MAX_FILES + 1))
            except exceptions.ResourceNotFoundError:
                found = []
        if len(found) > MAX_FILES:
            raise too_many(self._opening.address, self._opening.where)
        items = (_item(said, said.name[len(prefix) :], said.name) for said in found if not _is_folder_mark(said))
        return folder_snapshot(self._opening, self._path, items)

    def _named(self, key: str) -> str:
        return f"az://{self._container.container_name}/{key}"

    @contextmanager
    def _errors(self, what: str) -> Iterator[None]:
        """azure-core's errors in words."""
        exceptions = need("azure.core.exceptions", "azure")
        try:
            yield
        except exceptions.ClientAuthenticationError as error:
            said = f"{what} may not be read with these credentials: {_line(error)}"
            raise denied(said, self._opening.where, _LOGIN) from None
        except (exceptions.ServiceRequestError, exceptions.ServiceResponseError, exceptions.IncompleteReadError) as error:
            raise Cut(_line(error)) from None
        except exceptions.HttpResponseError as error:
            raise self._refused(what, error) from None
        except exceptions.AzureError as error:
            raise unreachable(f"{what} cannot be reached: {_line(error)}", self._opening.where) from None

    def _refused(self, what: str, error: Any) -> MlshipError:
        status, where = int(error.status_code or 0), self._opening.where
        if status in _DENIED:
            return denied(f"{what} may not be read with these credentials ({_code(error)})", where, _LOGIN)
        if status == 404:
            return missing(f"there is no {what}", where)
        if status in _CHANGED:
            return changed(f"{what} was replaced while it was fetched", where)
        if 300 <= status < 400:
            return unreachable(
                f"{what}: the storage leads elsewhere ({status}), which is not followed", where, "ask whoever runs it"
            )
        return unreachable(
            f"{what}: the storage answers {status} {_code(error)}", where, "try again later; nothing was changed"
        )


def open_source(opening: Opening) -> AzSource:
    return AzSource(opening)


def _container(opening: Opening, container: str, account: str, cloud: str) -> Any:
    """The client of one container. account, cloud: empty where the environment is to name the account."""
    blob = need("azure.storage.blob", "azure")
    environ = opening.environ
    settings = {
        "permit_redirects": False,
        "retry_total": 0 if opening.is_brief else 2,
        "connection_timeout": 3 if opening.is_brief else 10,
        "read_timeout": 5 if opening.is_brief else 60,
    }
    connection = environ.get("AZURE_STORAGE_CONNECTION_STRING")
    if connection and account in ("", _account_of(connection)):
        try:
            return blob.ContainerClient.from_connection_string(connection, container, **settings)
        except ValueError as error:
            fix = "take it from the storage account's page"
            raise MlshipError(
                f"AZURE_STORAGE_CONNECTION_STRING is none: {_line(error)}", opening.where, fix, code="usage"
            ) from None
    named = account or environ.get("AZURE_STORAGE_ACCOUNT", "")
    if not named:
        fix = "set AZURE_STORAGE_ACCOUNT, or write abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/PATH"
        raise MlshipError(f"{opening.address} does not say in which account it is", opening.where, fix, code="usage")
    if not _ACCOUNT.fullmatch(named):  # it becomes part of a host, to which the login goes
        fix = "3 to 24 small letters and digits, as the portal shows it"
        raise MlshipError("the storage account's name is none", opening.where, fix, code="usage")
    url = f"https://{named}.blob.{cloud or 'core.windows.net'}"
    return blob.ContainerClient(url, container, credential=_credential(environ), **settings)


def _account_of(connection: str) -> str:
    parts = dict(part.partition("=")[::2] for part in connection.split(";"))
    return parts.get("AccountName", "")


def _credential(environ: Mapping[str, str]) -> Any:
    key, signature = environ.get("AZURE_STORAGE_KEY"), environ.get("AZURE_STORAGE_SAS_TOKEN")
    if key:
        return key
    if signature:
        return need("azure.core.credentials", "azure").AzureSasCredential(signature.removeprefix("?"))
    return need("azure.identity", "azure").DefaultAzureCredential()


def _item(said: Any, name: str, key: str) -> Item:
    md5 = said.content_settings.content_md5 if said.content_settings else None
    digests = {"md5": bytes(md5).hex()} if md5 else {}
    return Item(name, f"{key}\0{said.version_id or ''}", int(said.size), str(said.etag), digests)


def _is_folder_mark(said: Any) -> bool:
    """Accounts with a hierarchical namespace have folders, which are listed as empty blobs with this mark."""
    return str((said.metadata or {}).get("hdi_isfolder", "")).lower() == "true"


def _code(error: Any) -> str:
    return str(getattr(error, "error_code", None) or error.reason or "")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
