"""Where DVC keeps the bytes: its cache on this machine, and the remote that .dvc/config names."""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from mlship.config.addresses import SCHEMES
from mlship.errors import MlshipError
from mlship.sources.base import PIECE, Body, Item, Opening, missing


class Place(Protocol):
    """title: for people. Keys are those of DVC, below the remote."""

    @property
    def title(self) -> str: ...

    def stat(self, key: str) -> Item | None: ...

    def read(self, item: Item, start: int) -> AbstractContextManager[Body]: ...


class _Store(Protocol):
    def stat(self, key: str) -> Item | None: ...

    def read(self, item: Item, start: int) -> AbstractContextManager[Body]: ...


@dataclass(frozen=True)
class Folder:
    """A folder of this machine, or one that is mounted."""

    folder: Path
    title: str

    def stat(self, key: str) -> Item | None:
        path = self.folder / key
        try:
            size = path.stat().st_size
        except OSError:
            return None
        return Item(path.name, key, size, "") if path.is_file() else None

    @contextmanager
    def read(self, item: Item, start: int) -> Iterator[Body]:
        with (self.folder / item.key).open("rb") as file:
            file.seek(start)
            yield Body(start, iter(lambda: file.read(PIECE), b""))


@dataclass(frozen=True)
class Bucket:
    """Part of an object store. prefix: empty, or with `/` at its end."""

    store: _Store
    prefix: str
    title: str

    def stat(self, key: str) -> Item | None:
        return self.store.stat(f"{self.prefix}{key}")

    def read(self, item: Item, start: int) -> AbstractContextManager[Body]:
        return self.store.read(item, start)


def places(opening: Opening, folder: Path, named: str) -> tuple[Place, ...]:
    """Nearest first. folder: .dvc lies there or above. named: the remote that the pointer wants, "" for the default one.

    Raises MlshipError where there is none, and for remotes that need DVC itself.
    """
    home = next((parent / ".dvc" for parent in (folder, *folder.parents) if (parent / ".dvc").is_dir()), None)
    if home is None:
        fix = "clone the repository with its .dvc folder, or dvc pull and write the path of the file"
        raise missing(f"there is no .dvc folder in {folder.name} or above it", opening.where, fix)
    settings = _settings(home)
    cache = Folder(home / settings.get("cache", {}).get("dir", "cache"), "DVC's cache")
    name = named or settings.get("core", {}).get("remote", "")
    if not name:
        return (cache,)
    return cache, _remote(opening, home, name, settings.get(f"remote {name}", {}))


def _settings(home: Path) -> dict[str, dict[str, str]]:
    """Sections of .dvc/config, with what .dvc/config.local says over it: `['remote "storage"']` is `remote storage`."""
    found: dict[str, dict[str, str]] = {}
    for name in ("config", "config.local"):
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read_string((home / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError, configparser.Error) as error:
            said = " ".join(str(error).split())[:200]
            raise MlshipError(
                f".dvc/{name} cannot be read: {said}", str(home / name), "correct it", code="bad-pointer"
            ) from None
        for section in parser.sections():
            plain = re.sub(r"[\"']", "", section).strip()
            found.setdefault(plain, {}).update(parser[section])
    return found


def _remote(opening: Opening, home: Path, name: str, said: Mapping[str, str]) -> Place:
    url = said.get("url", "").rstrip("/")
    if not url:
        raise MlshipError(
            f"DVC's remote {name} has no url", str(home / "config"), f"dvc remote modify {name} url URL", code="usage"
        )
    if said.get("version_aware") == "true" or said.get("worktree") == "true":
        raise _needs_dvc(name, "keeps files under their own names", opening.where)
    scheme = url.partition("://")[0] if "://" in url else ""
    if not scheme:
        return Folder(home / url, f"the remote {name}")
    if scheme not in _STORES:
        raise _needs_dvc(name, f"is {scheme}://", opening.where)
    bucket, _, path = url.partition("://")[2].partition("/")
    address = f"{_STORES[scheme]}://{bucket}/{path or 'files'}"
    if not SCHEMES[_STORES[scheme]].shape.fullmatch(address):
        raise MlshipError(f"DVC's remote {name} has no url that can be read", str(home / "config"), "correct it", code="usage")
    store = _store(replace(opening, address=address), _STORES[scheme], said)
    return Bucket(store, f"{path}/" if path else "", f"the remote {name}")


_STORES = {"s3": "s3", "gs": "gs", "azure": "az"}


def _store(opening: Opening, scheme: str, said: Mapping[str, str]) -> _Store:
    """DVC's settings of a remote that mlship knows; whatever they leave open is found as each platform finds it."""
    # here and not above: each needs packages that only its own users have
    if scheme == "s3":
        from mlship.sources.s3 import S3Source

        names = {"endpointurl": "endpoint_url", "profile": "profile_name", "region": "region_name"}
        return S3Source(opening, {names[key]: text for key, text in said.items() if key in names})
    if scheme == "gs":
        from mlship.sources.gs import GsSource

        return GsSource(opening)
    from mlship.sources.az import AzSource

    names = {"connection_string": "AZURE_STORAGE_CONNECTION_STRING", "account_name": "AZURE_STORAGE_ACCOUNT",
             "account_key": "AZURE_STORAGE_KEY", "sas_token": "AZURE_STORAGE_SAS_TOKEN"}  # fmt: skip
    environ = {**opening.environ, **{names[key]: text for key, text in said.items() if key in names}}
    return AzSource(replace(opening, environ=environ))


def _needs_dvc(name: str, why: str, where: str) -> MlshipError:
    return MlshipError(
        f"DVC's remote {name} {why}: that needs DVC itself",
        where,
        "dvc pull, and write the path of the file",
        code="not-yet",
    )
