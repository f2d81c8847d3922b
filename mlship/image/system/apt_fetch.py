"""Files from a package archive: through the proxies and certificates that apt and the environment name, each whole or not at all."""

from __future__ import annotations

import hashlib
import os
import shutil
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

from mlship.disk import make_folder, scratch_file
from mlship.errors import Exit, MlshipError, need
from mlship.image.system.apt import AptSettings, without_credentials
from mlship.parallel import in_parallel
from mlship.progress import Progress

TRIES = 4
_PAUSES_S = (0.5, 1.0, 2.0)
_PARALLEL = 6
_SMALL = 64 << 20  # the largest index file that is held in memory


@dataclass(frozen=True)
class Wanted:
    """One file to fetch. urls: tried in this order. sha256: hex. size in bytes."""

    urls: tuple[str, ...]
    sha256: str
    size: int


class Fetcher:
    """Fetches over HTTP or from a file: URL. Safe for several threads."""

    def __init__(
        self,
        settings: AptSettings,
        environ: Mapping[str, str],
        folder: Path,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._folder = folder
        self._pause = pause
        self._clients: dict[str, Any] = {}
        self._lock = threading.Lock()

    def __enter__(self) -> Fetcher:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def text(self, url: str) -> bytes | None:
        """A small file, fetched anew each time; None where the archive has none (404, 403, 410).

        Raises MlshipError, exit 13, when the archive cannot be reached.
        """
        if urlsplit(url).scheme == "file":
            path = _local(url)
            return path.read_bytes() if path.is_file() else None
        content: bytes | None = self._retried(url, lambda: self._whole(url))
        return content

    def files(self, wanted: Sequence[Wanted], progress: Progress, name: str) -> list[Path]:
        """The files, in the same order; those in the cache are not fetched again. Several at a time.

        Raises MlshipError: exit 13 when the archive cannot be reached, exit 5 when it gives other bytes than it signed.
        """
        total = sum(file.size for file in wanted)
        count = _Count(progress, name, total)
        return in_parallel(lambda file: self._file(file, count), wanted, _PARALLEL)

    def file(self, wanted: Wanted, progress: Progress, name: str) -> Path:
        return self.files([wanted], progress, name)[0]

    def cached(self, sha256: str) -> Path:
        return self._folder / sha256

    def _file(self, wanted: Wanted, count: _Count) -> Path:
        target = self.cached(wanted.sha256)
        if target.is_file() and target.stat().st_size == wanted.size:
            count.add(wanted.size)
            return target
        make_folder(target.parent)
        missing: list[str] = []
        for url in wanted.urls:
            if self._fetched(url, wanted, target, count):
                return target
            missing.append(without_credentials(url))
        raise MlshipError(
            f"the archive no longer has {missing[0].rpartition('/')[2]}",
            where=", ".join(missing),
            fix="a newer version has replaced it, and no earlier image with this base is known: mlship lock --refresh takes it",
            exit=Exit.BUILD_FAILED,
            code="package-gone",
        )

    def _fetched(self, url: str, wanted: Wanted, target: Path, count: _Count) -> bool:
        with scratch_file(target.parent) as part:
            for fresh in (False, True):
                if not self._download(url, part, wanted, count):
                    return False
                if _sha256(part) == wanted.sha256:
                    part.chmod(0o644)
                    part.replace(target)  # not waited for: what a power cut has shortened is fetched again
                    return True
                os.truncate(part, 0)
                if fresh:
                    raise _other_bytes(url, wanted)
            return False

    def _download(self, url: str, part: Path, wanted: Wanted, count: _Count) -> bool:
        if urlsplit(url).scheme == "file":
            source = _local(url)
            if source.is_file():
                shutil.copyfile(source, part)
            return source.is_file()
        return self._retried(url, lambda: self._continued(url, part, wanted, count)) or False

    def _continued(self, url: str, part: Path, wanted: Wanted, count: _Count) -> bool | None:
        """Goes on where an earlier try was cut. None: the archive has no such file."""
        start = part.stat().st_size if part.exists() else 0
        headers = {"Range": f"bytes={start}-"} if start else {}
        with self._client(url).stream("GET", _bare(url), headers=headers, auth=self._login(url)) as answer:
            if _is_absent(answer):
                return None
            answer.raise_for_status()
            with part.open("ab" if answer.status_code == 206 else "wb") as file:
                for chunk in answer.iter_raw():
                    file.write(chunk)
                    count.add(len(chunk))
                    if file.tell() > wanted.size:
                        break
        return True

    def _whole(self, url: str) -> bytes | None:
        with self._client(url).stream("GET", _bare(url), auth=self._login(url)) as answer:
            if _is_absent(answer):
                return None
            answer.raise_for_status()
            content = bytearray()
            for chunk in answer.iter_bytes():
                content += chunk
                if len(content) > _SMALL:
                    raise MlshipError(f"{without_credentials(url)} is larger than {_SMALL} bytes", exit=Exit.BUILD_FAILED)
            return bytes(content)

    def _retried(self, url: str, attempt: Callable[[], Any]) -> Any:
        httpx = need("httpx")
        for number in range(TRIES):
            try:
                return attempt()
            except httpx.HTTPStatusError as error:
                status = error.response.status_code
                if status in (401, 407) or number == TRIES - 1 or (status < 500 and status != 429):
                    raise _refused(url, status, error.response.reason_phrase) from None
            except httpx.TransportError as error:
                if number == TRIES - 1:
                    raise _unreachable(url, error, self._proxy(url)) from None
            self._pause(_PAUSES_S[number])
        raise AssertionError("the last try returns or raises")

    def _client(self, url: str) -> Any:
        proxy = self._proxy(url)
        with self._lock:
            if proxy not in self._clients:
                httpx = need("httpx")
                self._clients[proxy] = httpx.Client(
                    proxy=proxy or None,
                    verify=self._certificates(),
                    trust_env=False,
                    follow_redirects=True,
                    timeout=httpx.Timeout(30.0, connect=10.0),
                    headers={"Accept-Encoding": "identity", "User-Agent": "mlship"},
                )
            return self._clients[proxy]

    def _proxy(self, url: str) -> str:
        """apt's proxy for the host, then for the scheme, then the environment's; empty for none (apt.conf(5))."""
        parts = urlsplit(url)
        for name in (f"{parts.scheme}::{parts.hostname}", parts.scheme):
            if name in self._settings.proxies:
                value = self._settings.proxies[name]
                return "" if value.upper() in ("DIRECT", "FALSE") else value
        named = {
            name.lower().removesuffix("_proxy"): value
            for name, value in sorted(self._environ.items())
            if name.lower().endswith("_proxy") and value
        }
        if not named or proxy_bypass_environment(parts.hostname or "", named):
            return ""
        return named.get(parts.scheme) or named.get("all", "")

    def _certificates(self) -> ssl.SSLContext:
        """Certificate authorities: apt's CAInfo, else SSL_CERT_FILE and SSL_CERT_DIR, else the system's."""
        if self._settings.ca is not None:
            return _context(cafile=str(self._settings.ca))
        file, folder = self._environ.get("SSL_CERT_FILE"), self._environ.get("SSL_CERT_DIR")
        return _context(cafile=file or None, capath=folder or None)

    def _login(self, url: str) -> tuple[str, str] | None:
        parts = urlsplit(url)
        if parts.username:
            return unquote(parts.username), unquote(parts.password or "")
        place = f"{parts.netloc.rpartition('@')[2]}{parts.path}"
        for machine, user, password in self._settings.logins:
            scheme, mark, rest = machine.rpartition("://")
            if (not mark or scheme == parts.scheme) and (place == rest or place.startswith(rest.rstrip("/") + "/")):
                return user, password
        return None


class _Count:
    """Adds up what several threads fetched."""

    def __init__(self, progress: Progress, name: str, total: int) -> None:
        self._progress = progress
        self._name = name
        self._total = total
        self._done = 0
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        with self._lock:
            self._done = min(self._done + size, self._total)
            self._progress.amount(self._name, self._done, self._total)


def _context(cafile: str | None = None, capath: str | None = None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=cafile, capath=capath)
    except OSError as error:
        raise MlshipError(
            f"the certificate authorities in {cafile or capath} cannot be read: {error.strerror or error}",
            where="apt's Acquire::https::CAInfo, or SSL_CERT_FILE",
            fix="name a file of PEM certificates that exists",
        ) from None


def _is_absent(answer: Any) -> bool:
    return answer.status_code in (403, 404, 410)  # some object stores answer 403 for what is not there


def _bare(url: str) -> str:
    return without_credentials(url)


def _local(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _other_bytes(url: str, wanted: Wanted) -> MlshipError:
    return MlshipError(
        f"the archive gave other bytes than it signed for {without_credentials(url)} (expected sha256 {wanted.sha256[:12]}…)",
        fix="a proxy or a mirror in between changed or cut the file: try another mirror (build.mirror)",
        exit=Exit.BUILD_FAILED,
        code="wrong-bytes",
    )


def _refused(url: str, status: int, reason: str) -> MlshipError:
    denied = status in (401, 407)
    return MlshipError(
        f"the package archive answered {status} {reason} for {without_credentials(url)}",
        fix="put the login into apt's auth.conf.d" if denied else "try again later, or set build.mirror to another mirror",
        exit=Exit.DENIED if denied else Exit.UNREACHABLE,
        code="archive-refused",
    )


def _unreachable(url: str, error: Exception, proxy: str) -> MlshipError:
    through = f" through the proxy {without_credentials(proxy)}" if proxy else ""
    return MlshipError(
        f"the package archive cannot be reached{through}: {type(error).__name__}: {error}",
        where=without_credentials(url),
        fix="check the network, the proxy (http_proxy, apt's Acquire::http::Proxy) and SSL_CERT_FILE, then run it again; "
        "nothing was changed",
        exit=Exit.UNREACHABLE,
        code="archive-unreachable",
    )
