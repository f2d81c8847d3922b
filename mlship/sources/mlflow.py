"""models:/NAME@alias, models:/NAME/3 and runs:/RUN/PATH: MLflow says where the files are, and which version an alias is now.

mlflow-skinny finds the server and the login as everywhere (MLFLOW_TRACKING_URI, MLFLOW_REGISTRY_URI, ...). The bytes come from
where the registry says: an object store of mlship's own sources, the server itself (`mlflow-artifacts:`), or a folder, where the
registry is one of this machine. What a server says is not trusted further: a file of this machine that it names is refused.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from mlship.config.addresses import SCHEMES, problem_of
from mlship.errors import MlshipError, need
from mlship.sources.base import (
    MAX_FILES,
    PIECE,
    Body,
    Cut,
    Item,
    Opening,
    Snapshot,
    Source,
    base_name,
    changed,
    denied,
    missing,
    too_many,
    unreachable,
)
from mlship.sources.table import open_source

_LOGIN = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
_PROXIED = "/api/2.0/mlflow-artifacts/artifacts"
_LOCAL = ("", "file", "sqlite")  # of a registry: of this machine, as no database elsewhere is
_STORES = ("s3", "gs", "abfss", "wasbs")
_MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "ENDPOINT_NOT_FOUND")
_DENIED = ("PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED")


@dataclass(frozen=True)
class Located:
    """uri: of the files, as the registry says it. version: what pins it. title: the name on this machine."""

    uri: str
    version: str
    title: str


def tell(opening: Opening, version: str, facts: Mapping[str, str], alias: str) -> None:
    """Tags of a version of the registered model that the address names, and an alias that leads to it now. Raises MlshipError."""
    found = SCHEMES["models"].shape.fullmatch(opening.address)
    assert found, "mlship.yaml was checked"
    mlflow = _mlflow(opening)
    try:
        with _errors(opening), _settings(opening):
            client = mlflow.MlflowClient()
            for key, text in facts.items():
                client.set_model_version_tag(found["name"], version, key, text)
            client.set_registered_model_alias(found["name"], alias, version)
    except Cut as cut:
        raise unreachable(f"the MLflow server cannot be reached: {cut}", opening.where) from None


class MlflowSource:
    """locate: a version of an earlier snapshot, or "", -> where the files are."""

    def __init__(self, opening: Opening, locate: Callable[[Any, str], Located]) -> None:
        self._opening = opening
        self._locate = locate
        self._mlflow = _mlflow(opening)
        self._inner: Source | None = None

    def snapshot(self, version: str = "") -> Snapshot:
        with _errors(self._opening), _settings(self._opening):
            client = self._mlflow.MlflowClient()
            found = self._locate(client, version)
            self._inner = place_of(self._opening, self._mlflow.get_tracking_uri(), self._mlflow.get_registry_uri(), found.uri)
            inner = self._inner.snapshot()
        title = inner.title if inner.is_file else found.title
        return replace(inner, version=found.version, title=title)

    @contextmanager
    def read(self, item: Item, start: int) -> Iterator[Body]:
        assert self._inner is not None, "snapshot comes first"
        with _errors(self._opening), self._inner.read(item, start) as body:
            yield body


def open_version(opening: Opening) -> MlflowSource:
    """A version of a registered model, or what an alias names."""
    found = SCHEMES["models"].shape.fullmatch(opening.address)
    assert found, "mlship.yaml was checked"
    name, path = found["name"], found["path"] or ""

    def locate(client: Any, version: str) -> Located:
        number = version.removeprefix("version ") or found["version"]
        if not number:
            number = str(client.get_model_version_by_alias(name, found["alias"]).version)
        uri = _settled(client, str(client.get_model_version_download_uri(name, number)))
        return Located(_below(uri, path), f"version {number}", base_name(path) or name)

    return MlflowSource(opening, locate)


def open_run(opening: Opening) -> MlflowSource:
    """Artifacts of a run, or a model that it logged."""
    found = SCHEMES["runs"].shape.fullmatch(opening.address)
    assert found, "mlship.yaml was checked"
    run_id, path = found["run"], found["path"].rstrip("/")

    def locate(client: Any, version: str) -> Located:
        run = client.get_run(run_id)
        name, _, inside = path.partition("/")
        logged = _logged_model(client, run, name)
        uri = _below(logged, inside) if logged else _below(str(run.info.artifact_uri), path)
        return Located(_settled(client, uri), f"run {run_id}", base_name(path))

    return MlflowSource(opening, locate)


def _logged_model(client: Any, run: Any, name: str) -> str:
    """Where a model of MLflow 3 is, which is no artifact of its run; empty where the run logged none of this name."""
    outputs = getattr(run.outputs, "model_outputs", None) or ()
    models = (client.get_logged_model(output.model_id) for output in outputs)
    return next((str(model.artifact_location) for model in models if model.name == name), "")


def _settled(client: Any, uri: str) -> str:
    """`models:/m-...`, a logged model of MLflow 3 -> where its files are."""
    scheme, _, model_id = uri.partition(":/")
    return str(client.get_logged_model(model_id).artifact_location) if scheme == "models" else uri


def _below(uri: str, path: str) -> str:
    return f"{uri.rstrip('/')}/{path}" if path else uri


def place_of(opening: Opening, tracking: str, registry: str, uri: str) -> Source:
    """Who gives the bytes of what the registry named."""
    scheme = urlsplit(uri).scheme
    if scheme in _STORES and problem_of(uri) is None:
        return open_source(replace(opening, address=uri))
    is_local = all(
        urlsplit(place).scheme.partition("+")[0] in _LOCAL and not place.startswith("databricks")
        for place in (tracking, registry)
    )
    if scheme in ("", "file") and is_local:
        return Local(Path(unquote(urlsplit(uri).path)), opening)
    if scheme == "mlflow-artifacts" and urlsplit(uri).hostname in (None, urlsplit(tracking).hostname):
        return Proxied(opening, tracking, urlsplit(uri).path)
    kind = "a file of this machine" if scheme in ("", "file") else f"{scheme}://{urlsplit(uri).hostname or ''}"
    raise MlshipError(
        f"the registry says that {opening.address} is at {kind}, which is not followed",
        opening.where,
        f"mlflow artifacts download --artifact-uri {opening.address}, and write the path",
        code="bad-redirect",
    )


class Local:
    """A folder of this machine, where the registry itself is one."""

    def __init__(self, path: Path, opening: Opening) -> None:
        self._path = path
        self._opening = opening

    def snapshot(self, version: str = "") -> Snapshot:
        if self._path.is_file():
            return Snapshot(self._path.name, "", (self._item(self._path, self._path.name),), is_file=True)
        files = sorted(path for path in self._path.rglob("*") if path.is_file() and not path.is_symlink())
        if not files:
            raise missing(f"there is nothing at {self._path}, where MLflow says it is", self._opening.where)
        if len(files) > MAX_FILES:
            raise too_many(self._opening.address, self._opening.where)
        return Snapshot(self._path.name, "", tuple(self._item(path, path.relative_to(self._path).as_posix()) for path in files))

    @contextmanager
    def read(self, item: Item, start: int) -> Iterator[Body]:
        with Path(item.key).open("rb") as file:
            file.seek(start)
            yield Body(start, iter(lambda: file.read(PIECE), b""))

    def _item(self, path: Path, name: str) -> Item:
        seen = path.stat()
        return Item(name, str(path), seen.st_size, f"{seen.st_size} {seen.st_mtime_ns}")


class Proxied:
    """Artifacts that the tracking server hands out itself, with its own login (mlflow 3.17, mlflow-artifacts)."""

    def __init__(self, opening: Opening, tracking: str, path: str) -> None:
        self._opening = opening
        self._tracking = tracking
        self._root = path.strip("/").removeprefix(_PROXIED.strip("/")).strip("/")

    def snapshot(self, version: str = "") -> Snapshot:
        found = list(self._files("", 0))
        if found:
            return Snapshot(base_name(self._root), "", tuple(found))
        folder, _, name = self._root.rpartition("/")
        entry = next((entry for entry in self._entries(folder) if entry["path"] == name and not entry["is_dir"]), None)
        if entry is None:
            raise missing(f"there is nothing at {self._opening.address}", self._opening.where)
        return Snapshot(name, "", (self._item(name, self._root, entry),), is_file=True)

    @contextmanager
    def read(self, item: Item, start: int) -> Iterator[Body]:
        begin = {"Range": f"bytes={start}-"} if start else {}
        with self._asked(f"{_PROXIED}/{quote(item.key)}", begin, stream=True) as answer:
            yield Body(start if answer.status_code == 206 else 0, answer.iter_content(PIECE))

    def _files(self, folder: str, depth: int) -> Iterator[Item]:
        if depth > 20:
            raise changed(f"{self._opening.address} has folders in folders without an end", self._opening.where)
        for number, entry in enumerate(self._entries(f"{self._root}/{folder}".rstrip("/"))):
            name = f"{folder}/{entry['path']}".lstrip("/")
            if number > MAX_FILES:
                raise too_many(self._opening.address, self._opening.where)
            if entry["is_dir"]:
                yield from self._files(name, depth + 1)
            else:
                yield self._item(name, f"{self._root}/{name}", entry)

    def _entries(self, path: str) -> list[dict[str, Any]]:
        with self._asked(_PROXIED, {}, params={"path": path}) as answer:
            said = answer.json().get("files") or []
        return [{"path": str(entry["path"]), "is_dir": bool(entry.get("is_dir")), "size": int(entry.get("file_size") or 0)}
                for entry in said]  # fmt: skip

    def _item(self, name: str, key: str, entry: Mapping[str, Any]) -> Item:
        return Item(name, key, int(entry["size"]), str(entry["size"]))

    @contextmanager
    def _asked(self, endpoint: str, headers: Mapping[str, str], **more: Any) -> Iterator[Any]:
        """Redirects are not followed: the login would go along."""
        rest, credentials = need("mlflow.utils.rest_utils", "mlflow"), need("mlflow.utils.credentials", "mlflow")
        host = credentials.get_default_host_creds(self._tracking)
        answer = rest.http_request(host, endpoint, "GET", extra_headers=dict(headers), allow_redirects=False, **more)
        with answer:
            if answer.status_code == 404:
                raise missing(f"there is nothing at {self._opening.address}", self._opening.where)
            if answer.status_code in (401, 403):
                said = f"{self._opening.address} may not be read with this login ({answer.status_code})"
                raise denied(said, self._opening.where, _LOGIN)
            if answer.status_code not in (200, 206):
                said = f"the MLflow server answers {answer.status_code} for {self._opening.address}"
                raise unreachable(said, self._opening.where, "try again later; nothing was changed")
            yield answer


def _mlflow(opening: Opening) -> Any:
    """mlflow, once it is known where the registry is: without a setting it would make a database here."""
    environ = opening.environ
    if not any(environ.get(name) for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI")):
        fix = "set MLFLOW_TRACKING_URI, such as https://mlflow.example.com or sqlite:////path/mlflow.db"
        raise MlshipError(f"nothing says where the registry of {opening.address} is", opening.where, fix, code="usage")
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        said = environ.get(name, "")
        if said.startswith("sqlite:///") and not Path(said.removeprefix("sqlite:///")).is_file():
            raise missing(f"{name} names a database that is not there: {said}", opening.where, f"correct {name}")
    for name in ("mlflow", "alembic", "urllib3"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return need("mlflow", "mlflow")


@contextmanager
def _settings(opening: Opening) -> Iterator[None]:
    """mlflow 3.17 would try seven times, for four minutes, and follow redirects anywhere; it has settings from the environment alone."""
    wanted = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0" if opening.is_brief else "2", "MLFLOW_ALLOW_HTTP_REDIRECTS": "false"}
    wanted |= {"MLFLOW_HTTP_REQUEST_TIMEOUT": "5"} if opening.is_brief else {}
    own = {name: text for name, text in wanted.items() if name not in os.environ}
    os.environ.update(own)
    try:
        yield
    finally:
        for name in own:
            os.environ.pop(name, None)


@contextmanager
def _errors(opening: Opening) -> Iterator[None]:
    """MLflow's errors in words, by their codes; what breaks on the line is Cut."""
    exceptions, requests = need("mlflow.exceptions", "mlflow"), need("requests", "mlflow")
    try:
        yield
    except exceptions.MlflowException as error:
        raise _refused(opening, error, requests.exceptions.RequestException) from None
    except (
        requests.exceptions.ChunkedEncodingError,
        requests.exceptions.ConnectionError,
        requests.exceptions.Timeout,
    ) as error:
        raise Cut(_line(error)) from None
    except ModuleNotFoundError as error:
        fix = "pip install mlflow, which brings what a database of this machine needs"
        raise MlshipError(
            f"the package {error.name} is not installed here", opening.where, fix, code="missing-package"
        ) from None
    except Exception as error:
        alchemy = sys.modules.get("sqlalchemy.exc")
        if alchemy is None or not isinstance(error, alchemy.SQLAlchemyError):
            raise
        fix = "correct MLFLOW_TRACKING_URI"
        raise unreachable(f"the registry's database cannot be read: {_line(error)}", opening.where, fix) from None


def _refused(opening: Opening, error: Any, network: type[Exception]) -> MlshipError:
    code, where = str(error.error_code), opening.where
    if isinstance(error.__cause__ or error.__context__, network):
        return unreachable(f"the MLflow server cannot be reached: {_line(error)}", where)
    if code in _DENIED:
        return denied(f"{opening.address} may not be read with this login ({code})", where, _LOGIN)
    if code in _MISSING:
        return missing(f"there is no {opening.address}: {_line(error)}", where, "correct model.uri")
    fix = "look into its log; a redirect (3xx) is not followed: set the address that it leads to"
    return unreachable(f"the MLflow server answers {code} for {opening.address}: {_line(error)}", where, fix)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
