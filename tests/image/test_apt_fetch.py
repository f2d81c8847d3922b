import hashlib
import threading
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from mlship.errors import Exit, MlshipError
from mlship.image.system.apt import AptSettings
from mlship.image.system.apt_fetch import TRIES, Fetcher, Wanted
from mlship.progress import Silent

CONTENT = bytes(range(256)) * 400
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Mirror:
    """An archive on the loopback device; `faults` are taken one by one before it behaves."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.seen: list[tuple[str, dict[str, str]]] = []
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                mirror.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                fault = mirror.faults.pop(0) if mirror.faults else ""
                if fault.isdigit():
                    self.send_error(int(fault))
                    return
                if self.path.endswith("/missing"):
                    self.send_error(404)
                    return
                body, start = (CONTENT[::-1] if fault == "wrong" else CONTENT), 0
                if "Range" in self.headers:
                    start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(body) - start))
                self.end_headers()
                self.wfile.write(body[start : 60_000 if fault == "cut" else None])

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    made = Mirror()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    made.server.server_close()
    thread.join()


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def fetcher(tmp_path, pauses) -> Iterator[Fetcher]:
    with Fetcher(AptSettings(), {}, tmp_path / "debs", pauses.append) as made:
        yield made


def wanted(*urls: str) -> Wanted:
    return Wanted(urls, DIGEST, len(CONTENT))


def test_a_file_is_fetched_once_and_kept_under_its_digest(mirror, fetcher):
    for _ in range(2):
        assert fetcher.file(wanted(f"{mirror.url}/a.deb"), Silent(), "x").read_bytes() == CONTENT
    assert fetcher.cached(DIGEST).name == DIGEST
    assert len(mirror.seen) == 1


def test_a_cut_download_goes_on_where_it_was_cut(mirror, fetcher):
    mirror.faults = ["cut"]
    fetcher.file(wanted(f"{mirror.url}/a.deb"), Silent(), "x")
    assert [headers.get("range") for _, headers in mirror.seen] == [None, "bytes=60000-"]


def test_passing_faults_are_tried_again_with_longer_pauses(mirror, fetcher, pauses):
    mirror.faults = ["503", "429", "500"]
    fetcher.file(wanted(f"{mirror.url}/a.deb"), Silent(), "x")
    assert pauses == [0.5, 1.0, 2.0]


def test_other_bytes_than_signed_are_fetched_afresh_once_and_then_refused(mirror, fetcher, tmp_path):
    mirror.faults = ["wrong"]
    fetcher.file(wanted(f"{mirror.url}/a.deb"), Silent(), "x")
    fetcher.cached(DIGEST).unlink()
    mirror.faults = ["wrong", "wrong"]
    with pytest.raises(MlshipError, match=r"other bytes than it signed for .*/a.deb"):
        fetcher.file(wanted(f"{mirror.url}/a.deb"), Silent(), "x")
    assert list((tmp_path / "debs").iterdir()) == []


def test_the_next_address_is_tried_where_the_first_has_no_such_file(mirror, fetcher):
    fetcher.file(wanted(f"{mirror.url}/missing", f"{mirror.url}/a.deb"), Silent(), "x")
    assert [path for path, _ in mirror.seen] == ["/missing", "/a.deb"]


def test_a_package_that_is_gone_says_what_to_do(mirror, fetcher):
    with pytest.raises(MlshipError, match="the archive no longer has missing") as raised:
        fetcher.file(wanted(f"{mirror.url}/missing"), Silent(), "x")
    assert raised.value.exit is Exit.BUILD_FAILED
    assert raised.value.fix.endswith("mlship lock --refresh takes it")


def test_an_archive_that_cannot_be_reached_ends_with_13(fetcher, pauses):
    with pytest.raises(MlshipError, match="the package archive cannot be reached: ConnectError") as raised:
        fetcher.text("http://127.0.0.1:1/dists/bookworm/InRelease")
    assert raised.value.exit is Exit.UNREACHABLE
    assert len(pauses) == TRIES - 1


def test_an_archive_that_keeps_failing_ends_with_13(mirror, fetcher):
    mirror.faults = ["500"] * TRIES
    with pytest.raises(MlshipError, match="the package archive answered 500") as raised:
        fetcher.text(f"{mirror.url}/x")
    assert raised.value.exit is Exit.UNREACHABLE


def test_a_missing_login_ends_with_8(mirror, fetcher):
    mirror.faults = ["401"]
    with pytest.raises(MlshipError, match="answered 401") as raised:
        fetcher.text(f"{mirror.url}/x")
    assert raised.value.exit is Exit.DENIED
    assert "auth.conf.d" in raised.value.fix
    assert len(mirror.seen) == 1


def test_a_missing_small_file_is_none(mirror, fetcher):
    assert fetcher.text(f"{mirror.url}/missing") is None


def test_apts_login_is_sent_to_its_own_host_and_path_only(mirror, tmp_path):
    host = mirror.url.removeprefix("http://")
    settings = AptSettings(logins=((f"http://{host}/debian", "anna", "secret"),))
    with Fetcher(settings, {}, tmp_path) as fetcher:
        fetcher.text(f"{mirror.url}/debian/x")
        fetcher.text(f"{mirror.url}/debianer/x")
        fetcher.text(f"http://bob:other@{host}/y")
    sent = [headers.get("authorization") for _, headers in mirror.seen]
    assert sent == [f"Basic {b64encode(b'anna:secret').decode()}", None, f"Basic {b64encode(b'bob:other').decode()}"]


def test_a_proxy_of_apt_or_the_environment_is_used(mirror, tmp_path):
    url = "http://mirror.example.test/debian/x"
    for settings, environ in (
        (AptSettings(proxies={"http": mirror.url}), {}),
        (AptSettings(), {"http_proxy": mirror.url}),
        (AptSettings(), {"ALL_PROXY": mirror.url}),
    ):
        with Fetcher(settings, environ, tmp_path) as fetcher:
            assert fetcher.text(url) == CONTENT
    assert [path for path, _ in mirror.seen] == [url] * 3


def test_hosts_that_are_excepted_are_reached_without_the_proxy(mirror, tmp_path):
    dead = "http://127.0.0.1:1"
    for settings, environ in (
        (AptSettings(proxies={"http": dead, "http::127.0.0.1": "DIRECT"}), {}),
        (AptSettings(), {"http_proxy": dead, "no_proxy": "127.0.0.1"}),
    ):
        with Fetcher(settings, environ, tmp_path) as fetcher:
            assert fetcher.text(f"{mirror.url}/x") == CONTENT


def test_certificates_that_cannot_be_read_are_named(tmp_path):
    for settings, environ in (
        (AptSettings(ca=tmp_path / "none.pem"), {}),
        (AptSettings(), {"SSL_CERT_FILE": str(tmp_path / "none.pem")}),
    ):
        with (
            Fetcher(settings, environ, tmp_path) as fetcher,
            pytest.raises(MlshipError, match=r"authorities in .*none.pem cannot"),
        ):
            fetcher.text("https://127.0.0.1:1/x")


def test_a_password_never_stands_in_a_message(fetcher):
    with pytest.raises(MlshipError) as raised:
        fetcher.text("http://anna:secret@127.0.0.1:1/x")
    assert "secret" not in f"{raised.value} {raised.value.fix}"
