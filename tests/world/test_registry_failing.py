"""A bad line to a real registry: cut, busy, refusing, changing what is sent; and a push that is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from registry_images import image_of, wrong_blobs
from registry_parts import Action, BadLine, Cut, CutAnswer, Request, Say, Truncate, bad_line, real_registry

from mlship.errors import Exit, MlshipError
from mlship.oci.image import Image
from mlship.oci.layout import Layout
from mlship.oci.registry.client import Registry
from mlship.oci.registry.credentials import Credentials
from mlship.oci.registry.pull import pull
from mlship.oci.registry.push import Pushed, push
from mlship.oci.registry.reference import parse_reference
from mlship.oci.registry.retrying import TRIES
from mlship.oci.registry.upload import CHUNK
from mlship.units import Secret

pytestmark = pytest.mark.world

BIG = 8 << 20
ERROR = b'{"errors":[{"code":"DENIED","message":"not for you"}]}'
PUSHING = """
import os, sys
from pathlib import Path
from mlship.oci.layout import Layout
from mlship.oci.registry.client import Registry
from mlship.oci.registry.credentials import nobody
from mlship.oci.registry.push import push
from mlship.oci.registry.reference import parse_reference
reference, layout = parse_reference(sys.argv[1]), Layout(Path(sys.argv[2]))
with Registry(reference.registry, os.environ, nobody) as registry:
    push(registry, reference, layout, [layout.find("churn")], half_done_in=Path(sys.argv[3]) if sys.argv[3:] else None)
"""
PULLING = """
import os, sys
from pathlib import Path
from mlship.errors import MlshipError
from mlship.oci.layout import Layout
from mlship.oci.registry.client import Registry
from mlship.oci.registry.credentials import nobody
from mlship.oci.registry.pull import pull
from mlship.oci.registry.reference import parse_reference
reference = parse_reference(sys.argv[1])
try:
    with Registry(reference.registry, os.environ, nobody) as registry:
        pull(registry, reference, Layout(Path(sys.argv[2])), platform="linux/amd64")
except MlshipError as error:
    print(error)
    sys.exit(error.exit)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("registry")


@pytest.fixture(scope="module")
def port(folder: Path) -> Iterator[int]:
    with real_registry(folder) as started:
        yield started
    assert wrong_blobs(folder) == []


@pytest.fixture
def line(port: int) -> Iterator[BadLine]:
    with bad_line(port) as bad:
        yield bad


@pytest.fixture
def keeping(port: int) -> Iterator[BadLine]:
    with bad_line(port, keeps_sessions=True) as bad:
        yield bad


class Tried:
    """A push or pull over a bad line; what is waited for passes at once, and is remembered."""

    def __init__(self, line: BadLine, folder: Path, seed: int, sizes: tuple[int, ...] = (BIG, 100_000)) -> None:
        self.line = line
        self.layout = Layout(folder / "here")
        self.there = Layout(folder / "there")
        self.image: Image = image_of(self.layout, sizes, seed)
        self.reference = parse_reference(f"{line.registry}/failing/churn:{seed}")
        self.pauses: list[float] = []

    def registry(self, who: Credentials | None = None) -> Registry:
        return Registry(self.line.registry, os.environ, lambda _: who, pause=self.pauses.append)

    def push(self) -> Pushed:
        with self.registry() as registry:
            return push(registry, self.reference, self.layout, [self.image])

    def pull(self) -> Image:
        with self.registry() as registry:
            return pull(registry, self.reference, self.there, platform="linux/amd64")

    def refused(self, act: Callable[[], object]) -> MlshipError:
        with pytest.raises(MlshipError) as refused:
            act()
        return refused.value

    def holds(self) -> None:
        """The registry has the image, whole."""
        self.line.rule = lambda request: None
        assert self.pull() == self.image
        assert wrong_blobs(self.there.root) == []


def once(when: Callable[[Request], bool], action: Action, times: int = 1) -> Callable[[Request], Action | None]:
    left = [action] * times

    def rule(request: Request) -> Action | None:
        return left.pop() if left and when(request) else None

    return rule


def is_big(request: Request) -> bool:
    return request.size > BIG // 2


def is_put(request: Request) -> bool:
    return request.method == "PUT" and "/blobs/" in request.path


# --- cuts while pushing


@pytest.mark.parametrize("after", [0, 2, 100_000, BIG // 2, BIG])
def test_an_upload_goes_on_where_the_registry_stands(keeping: BadLine, tmp_path: Path, after: int) -> None:
    tried = Tried(keeping, tmp_path, seed=100 + after % 97)
    keeping.rule = once(is_big, Cut(after))
    tried.push()
    assert keeping.count("PATCH") == (1 if after else 0)
    config = tried.layout.read_json(tried.image.manifest.digest)["config"]["size"]
    assert keeping.received == tried.image.compressed_size + config  # every byte arrived once
    tried.holds()


def test_a_registry_that_says_nothing_of_its_first_byte_gets_the_blob_anew(keeping: BadLine, tmp_path: Path) -> None:
    tried = Tried(keeping, tmp_path, seed=1)  # its Range is 0-0 for no byte and for one
    keeping.rule = once(is_big, Cut(1))
    tried.push()
    tried.holds()


def test_large_blobs_go_in_chunks_and_lose_at_most_a_piece_of_one(keeping: BadLine, tmp_path: Path) -> None:
    tried = Tried(keeping, tmp_path, seed=2, sizes=(100 << 20,))
    cuts = iter([Cut(CHUNK // 2), None, Cut(CHUNK // 4), Cut(-1)])
    keeping.rule = lambda request: next(cuts, None) if request.method == "PATCH" else None
    tried.push()
    chunks = [request for request in keeping.requests if request.method == "PATCH"]
    assert max(request.size for request in chunks) == CHUNK
    assert sum(request.received for request in chunks) == tried.image.layers[0].blob.size
    assert [request.method for request in keeping.requests if request.method == "PUT" and is_put(request)] == ["PUT"] * 2
    tried.holds()


def test_where_the_registry_drops_a_cut_session_the_blob_is_sent_anew(line: BadLine, tmp_path: Path) -> None:
    tried = Tried(line, tmp_path, seed=3)
    line.rule = once(is_big, Cut(BIG // 2))
    pushed = tried.push()
    assert pushed.moved > tried.image.compressed_size + BIG // 3
    tried.holds()


def test_an_answer_that_is_lost_costs_nothing(line: BadLine, tmp_path: Path) -> None:
    tried = Tried(line, tmp_path, seed=4)
    line.rule = once(is_big, Cut(-1))
    pushed = tried.push()
    assert pushed.moved < tried.image.compressed_size + 10_000
    tried.holds()


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT"])
def test_any_request_may_be_cut_once(line: BadLine, tmp_path: Path, method: str) -> None:
    tried = Tried(line, tmp_path, seed=5 + len(method) + ord(method[1]), sizes=(200_000, 10))
    cut: set[str] = set()

    def rule(request: Request) -> Action | None:
        bare = request.path.partition("?")[0]
        if request.method != method or bare in cut:
            return None
        cut.add(bare)
        return Cut(-1)

    line.rule = rule
    tried.push()
    assert cut
    tried.holds()


def test_a_line_that_is_always_cut_is_given_up_and_another_run_goes_on(line: BadLine, tmp_path: Path) -> None:
    tried = Tried(line, tmp_path, seed=6)
    line.rule = lambda request: Cut(1000) if is_big(request) else None
    error = tried.refused(tried.push)
    assert (error.exit, error.code) == (Exit.UNREACHABLE, "registry-unreachable")
    assert "what has arrived is kept" in error.fix
    assert line.count("PUT") <= TRIES + 3
    line.rule = lambda request: None
    line.requests.clear()
    pushed = tried.push()
    assert pushed.sent == (tried.image.layers[0].blob.digest,)
    tried.holds()


# --- answers


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_what_passes_is_waited_for(line: BadLine, tmp_path: Path, status: int) -> None:
    tried = Tried(line, tmp_path, seed=status, sizes=(200_000, 10))
    seen: dict[str, int] = {}

    def rule(request: Request) -> Action | None:
        key = f"{request.method} {request.path.partition('?')[0].rpartition('/')[0]}"
        seen[key] = seen.get(key, 0) + 1
        return Say(status, {"Retry-After": "3"}) if seen[key] == 2 else None

    line.rule = rule
    tried.push()
    assert tried.pauses and set(tried.pauses) == {3.0}
    tried.holds()


@pytest.mark.parametrize(
    ("status", "exit", "words"),
    [
        (403, Exit.DENIED, "wants credentials for pushing failing/churn, and there are none (403)"),
        (404, Exit.USAGE, "does not know what pushing failing/churn needs (404)"),
        (429, Exit.UNREACHABLE, "asks for fewer requests: it keeps answering 429 to pushing failing/churn"),
        (500, Exit.UNREACHABLE, "is in trouble: it keeps answering 500 to pushing failing/churn"),
        (413, Exit.BUILD_FAILED, "refuses the size of a request (413) while pushing failing/churn"),
        (200, Exit.BUILD_FAILED, "does not answer as a registry does: it answered 200 to pushing failing/churn"),
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_what_does_not_pass_has_its_words(
    line: BadLine, tmp_path: Path, method: str, status: int, exit: Exit, words: str
) -> None:
    if (method, status) == ("PUT", 404):
        words = "does not know what pushing failing/churn needs"
    tried = Tried(line, tmp_path, seed=status * 2 + len(method), sizes=(1000,))
    line.rule = lambda request: Say(status, body=ERROR if status == 403 else b"") if request.method == method else None
    error = tried.refused(tried.push)
    assert error.exit is exit
    assert words in error.what, error.what
    assert error.fix and error.where == line.registry
    if status == 403:
        assert error.details == (f"{line.registry} says: DENIED not for you",)


@pytest.mark.parametrize(
    ("status", "code", "fix"),
    [
        (400, "TAG_INVALID", "push to another tag"),
        (412, "PRECONDITION", "push to another tag"),
        (400, "MANIFEST_INVALID", "mlship build --push-as docker-v2s2,single,gzip"),
        (400, "SIZE_LIMIT", "change what the registry names, or its rules"),
    ],
)
def test_rules_of_a_registry_are_told_in_its_words(line: BadLine, tmp_path: Path, status: int, code: str, fix: str) -> None:
    tried = Tried(line, tmp_path, seed=status + len(code), sizes=(1000,))
    body = json.dumps({"errors": [{"code": code, "message": "the tag v1 may not move"}]}).encode()
    line.rule = lambda request: Say(status, body=body) if request.method == "PUT" and "/manifests/" in request.path else None
    error = tried.refused(tried.push)
    assert (error.exit, error.code) == (Exit.BUILD_FAILED, "registry-refused")
    assert f"{line.registry} refuses pushing failing/churn:" in error.what
    assert f"({status}): {code} the tag v1 may not move" in error.what
    assert fix in error.fix


def test_credentials_that_are_not_accepted_name_the_login(line: BadLine, tmp_path: Path) -> None:
    tried = Tried(line, tmp_path, seed=7, sizes=(1000,))
    line.rule = lambda request: Say(401, {"WWW-Authenticate": 'Basic realm="r"'})
    with tried.registry(Credentials("eve", Secret("w0rd"), "config.json")) as registry, pytest.raises(MlshipError) as refused:
        push(registry, tried.reference, tried.layout, [tried.image])
    assert refused.value.exit is Exit.DENIED
    assert refused.value.fix == f"docker login {line.registry}"
    assert "does not accept the credentials of eve (config.json)" in refused.value.what


def test_an_upload_that_was_truncated_on_the_way_is_sent_again(line: BadLine, tmp_path: Path) -> None:
    tried = Tried(line, tmp_path, seed=8)
    line.rule = once(is_big, Truncate(BIG // 3))
    tried.push()
    tried.holds()


def test_a_line_that_truncates_every_upload_is_named(line: BadLine, tmp_path: Path, folder: Path) -> None:
    tried = Tried(line, tmp_path, seed=9)
    line.rule = lambda request: Truncate(BIG // 3) if is_big(request) else None
    error = tried.refused(tried.push)
    assert (error.exit, error.code) == (Exit.BUILD_FAILED, "registry-other-bytes")
    assert f"{line.registry} got other bytes than were sent" in error.what
    assert wrong_blobs(folder) == []


def test_a_blob_that_was_changed_here_is_not_blamed_on_the_registry(line: BadLine, tmp_path: Path) -> None:
    tried = Tried(line, tmp_path, seed=10, sizes=(1000,))
    path = tried.layout.path(tried.image.layers[0].blob.digest)
    path.write_bytes(b"x" * path.stat().st_size)
    error = tried.refused(tried.push)
    assert (error.exit, error.code, error.where) == (Exit.BUILD_FAILED, "damaged-layout", str(path))


def test_a_registry_that_calls_the_manifest_otherwise_is_not_believed(line: BadLine, tmp_path: Path) -> None:
    tried = Tried(line, tmp_path, seed=11, sizes=(1000,))
    wrong = Say(201, {"Docker-Content-Digest": "sha256:" + "0" * 64})
    line.rule = lambda request: wrong if request.method == "PUT" and "/manifests/" in request.path else None
    error = tried.refused(tried.push)
    assert error.exit is Exit.BUILD_FAILED
    assert f"it took the manifest {tried.image.manifest.digest} and calls it sha256:000" in error.what


# --- pulls


def is_blob_of(tried: Tried) -> Callable[[Request], bool]:
    return lambda request: request.method == "GET" and tried.image.layers[0].blob.digest in request.path


def test_a_download_goes_on_where_it_was_cut(line: BadLine, tmp_path: Path) -> None:
    tried = Tried(line, tmp_path, seed=12)
    tried.push()
    line.requests.clear()
    line.rule = once(is_blob_of(tried), CutAnswer(BIG // 4), times=3)
    assert tried.pull() == tried.image
    ranges = [request.headers.get("Range", "") for request in line.requests if is_blob_of(tried)(request)]
    assert ranges[0] == "" and len(ranges) == 4
    starts = [int(text.removeprefix("bytes=").removesuffix("-")) for text in ranges[1:]]
    assert starts == sorted(set(starts)) and starts[0] > 0
    assert wrong_blobs(tried.there.root) == []


def test_bytes_that_were_changed_on_the_way_never_get_the_name(line: BadLine, tmp_path: Path) -> None:
    tried = Tried(line, tmp_path, seed=13, sizes=(1000,))
    tried.push()
    blob = tried.image.layers[0].blob
    line.rule = lambda request: Say(200, body=b"x" * blob.size) if is_blob_of(tried)(request) else None
    error = tried.refused(tried.pull)
    assert (error.exit, error.code) == (Exit.BUILD_FAILED, "registry-other-bytes")
    assert not tried.there.has(blob)
    assert wrong_blobs(tried.there.root) == []
    assert not [path for path in tried.there.blobs.iterdir() if len(path.name) != 64]


@pytest.mark.parametrize("size", [999, 5000])
def test_a_blob_of_another_length_never_gets_the_name(line: BadLine, tmp_path: Path, size: int) -> None:
    tried = Tried(line, tmp_path, seed=14 + size, sizes=(1000,))
    tried.push()
    line.rule = lambda request: Say(200, body=b"x" * size) if is_blob_of(tried)(request) else None
    error = tried.refused(tried.pull)
    assert error.exit is Exit.BUILD_FAILED
    assert not tried.there.has(tried.image.layers[0].blob)


def test_a_manifest_of_another_digest_is_not_taken(line: BadLine, tmp_path: Path) -> None:
    tried = Tried(line, tmp_path, seed=15, sizes=(1000,))
    tried.reference = tried.push().reference
    line.rule = lambda request: Say(200, body=b"{}") if "/manifests/" in request.path else None
    error = tried.refused(tried.pull)
    assert error.exit is Exit.BUILD_FAILED
    assert f"the manifest {tried.reference.digest} came with the digest sha256:44136f" in error.what


def test_a_disk_that_is_full_ends_a_pull_with_nothing_half_written(line: BadLine, tmp_path: Path) -> None:
    tried = Tried(line, tmp_path, seed=16)
    tried.push()
    limited = ["bash", "-c", 'ulimit -f 2000; exec "$@"', "-", sys.executable, "-c", PULLING]
    done = subprocess.run([*limited, str(tried.reference), str(tried.there.root)], capture_output=True, text=True, check=False)
    assert done.returncode == Exit.BUILD_FAILED, done.stderr
    assert "nothing more can be written below" in done.stdout
    assert not tried.there.has(tried.image.layers[0].blob)
    assert not [path for path in tried.there.blobs.iterdir() if len(path.name) != 64]
    tried.holds()


# --- deaths and memory


def test_a_push_killed_at_any_instant_leaves_nothing_wrong_and_the_next_one_ends_it(
    line: BadLine, folder: Path, tmp_path: Path
) -> None:
    ended, moved = [], []
    for instant in range(6):
        tried = Tried(line, tmp_path / str(instant), seed=20 + instant, sizes=(2 << 20, 1 << 20, 300_000, 5000))
        line.delay_s = 0.01
        argv = [sys.executable, "-c", PUSHING, str(tried.reference), str(tried.layout.root)]
        process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 30
        while line.received < (instant + 1) * 400_000 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
        process.kill()
        ended.append(process.wait())
        line.delay_s = 0.0
        assert wrong_blobs(folder) == []
        line.requests.clear()
        moved.append(tried.push().moved)
        tried.holds()
        line.requests.clear()
    assert ended.count(-signal.SIGKILL) >= 4
    assert min(moved) < 3_000_000  # blobs that were whole are not sent again


@pytest.mark.parametrize("status", [0, 503])
def test_an_interrupted_push_ends_at_once(line: BadLine, tmp_path: Path, status: int) -> None:
    """status: 0 while bytes go over a slow line, 503 while it waits as the registry asked."""
    tried = Tried(line, tmp_path, seed=40 + status)
    line.delay_s = 0.05
    line.rule = lambda request: Say(status, {"Retry-After": "60"}) if status and request.method == "POST" else None
    argv = [sys.executable, "-c", PUSHING, str(tried.reference), str(tried.layout.root)]
    process = subprocess.Popen(argv, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 30
    while not line.count("POST", status=status) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    began = time.monotonic()
    _, said = process.communicate(timeout=30)
    assert time.monotonic() - began < 5
    assert b"KeyboardInterrupt" in said
    line.delay_s = 0.0


def test_a_large_blob_of_a_killed_push_goes_on_where_the_registry_stands(keeping: BadLine, tmp_path: Path) -> None:
    tried = Tried(keeping, tmp_path, seed=30, sizes=(40 << 20, 1000))
    argv = [sys.executable, "-c", PUSHING, str(tried.reference), str(tried.layout.root), str(tmp_path / "half-done")]
    keeping.delay_s = 0.005
    process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
    while keeping.received < 20 << 20 and process.poll() is None:
        time.sleep(0.005)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    keeping.delay_s = 0.0
    first = next(request for request in keeping.requests if request.size > 20 << 20)
    subprocess.run(argv, check=True)
    (rest,) = [request for request in keeping.requests if request.method == "PATCH"]
    assert rest.size <= first.size - (20 << 20) + (1 << 20)
    assert not list((tmp_path / "half-done").glob("*.json"))
    tried.holds()


def test_memory_does_not_depend_on_the_size_of_a_blob(port: int, tmp_path: Path) -> None:
    registry = f"localhost:{port}"
    peaks = []
    for size in (1 << 20, 150 << 20):
        folder = tmp_path / str(size)
        image_of(Layout(folder), (size,), seed=size)
        argv = [sys.executable, "-c", PUSHING, f"{registry}/memory/churn:{size}", str(folder)]
        process = subprocess.Popen(argv)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        peaks.append(usage.ru_maxrss >> 10)
    assert peaks[1] - peaks[0] < 16, peaks
