"""`mlship build --push` into a real registry: what moves, what lies there then, who can use it, and what is said when it fails."""

from __future__ import annotations

import base64
import json
import os
import random
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from registry_images import wrong_blobs
from registry_parts import BadLine, Say, bad_line, real_registry
from story import Story, predicted

pytestmark = pytest.mark.world

CODE = """\
VERSION = 1


class Scaled:
    def load(self, path):
        self.scale = path.read_bytes()[0]

    def predict(self, rows):
        return [self.scale * row["pieces"] for row in rows]
"""
YAML = """\
name: scaled
model: {uri: weights.bin, framework: python, loader: scaled:Scaled, code: [scaled.py], sample: sample.json}
"""
WEIGHTS = 12 << 20
HASH = "$2b$05$abcdefghijklmnopqrstuujJ4fHAc8Uk/5XK8XpPm0tev4BLVFw2K"  # bcrypt of WORD
WORD = "w0rd:with:colons"
TYPES = {  # manifest, configuration, gzip, raw
    "oci": ("oci.image.manifest.v1+json", "oci.image.config.v1+json", "oci.image.layer.v1.tar+gzip", "oci.image.layer.v1.tar"),
    "docker-v2s2": (
        "docker.distribution.manifest.v2+json",
        "docker.container.image.v1+json",
        "docker.image.rootfs.diff.tar.gzip",
        "docker.image.rootfs.diff.tar",
    ),
}
INDEXES = {"oci": "oci.image.index.v1+json", "docker-v2s2": "docker.distribution.manifest.list.v2+json"}


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    folder = tmp_path_factory.mktemp("registry")
    with real_registry(folder) as port:
        yield port, folder


@pytest.fixture
def line(registry: tuple[int, Path]) -> Iterator[BadLine]:
    """It counts what goes over it."""
    with bad_line(registry[0], keeps_sessions=True) as counted:
        yield counted


@pytest.fixture(scope="module")
def project(bare_environment: Path, story_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A model that does not compress: its layer is raw."""
    if shutil.which("skopeo") is None:
        pytest.skip("no skopeo: apt-get install skopeo")
    folder = tmp_path_factory.mktemp("scaled")
    environ = {**os.environ, "VIRTUAL_ENV": str(bare_environment), "MLSHIP_HOME": str(story_home), "DOCKER_CONFIG": str(folder)}
    made = Story(folder, bare_environment / "bin" / "python", environ)
    made.write("mlship.yaml", YAML)
    made.write("scaled.py", CODE)
    made.write("sample.json", '{"instances": [{"pieces": 1}]}')
    train(made, 2)
    return made


def train(project: Story, scale: int) -> None:
    (project.folder / "weights.bin").write_bytes(bytes([scale]) + random.Random(scale).randbytes(WEIGHTS))


def pushed(project: Story, reference: str, *words: str) -> dict[str, Any]:
    (report,) = project.mlship("build", "--push", reference, *words)["pushed"]
    return dict(report)


def moved(report: dict[str, Any], how: str = "sent") -> list[str]:
    return [layer["role"] for layer in report["layers"] if layer["how"] == how]


def raw(reference: str) -> dict[str, Any]:
    """The document as another tool gets it."""
    argv = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}"]
    return dict(json.loads(subprocess.run(argv, check=True, capture_output=True).stdout))


def got(reference: str, kind: str) -> tuple[str, dict[str, Any]]:
    """Content-Type and document of a plain GET. reference: HOST/NAME@DIGEST."""
    host, _, rest = reference.partition("/")
    name, _, digest = rest.partition("@")
    request = urllib.request.Request(
        f"http://{host}/v2/{name}/manifests/{digest}", headers={"Accept": f"application/vnd.{kind}"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return answer.headers["Content-Type"], json.loads(answer.read())


def test_only_what_changed_moves(project: Story, line: BadLine) -> None:
    reference = f"{line.registry}/ml/scaled:1.4"
    first = pushed(project, reference)
    assert first["sent"] == len(first["layers"]) >= 4
    assert first["moved"] == line.received > WEIGHTS
    assert first["deploy"].startswith(f"{line.registry}/ml/scaled@sha256:")

    line.requests.clear()
    nothing = pushed(project, reference)
    assert (nothing["moved"], line.received, nothing["present"]) == (0, 0, len(first["layers"]))
    assert nothing["deploy"] == first["deploy"]
    assert "all" in project.refused("build", "--push", reference, exit=0)

    line.requests.clear()
    train(project, 3)
    model = pushed(project, reference)
    assert moved(model) == ["model", "configuration"]
    assert WEIGHTS < model["moved"] == line.received < WEIGHTS + 100_000
    assert model["deploy"] != first["deploy"]

    line.requests.clear()
    project.write("scaled.py", CODE.replace("VERSION = 1", "VERSION = 2"))
    code = pushed(project, reference)
    assert set(moved(code)) <= {"code", "configuration"}
    assert 0 < code["moved"] == line.received < 100_000


def test_another_repository_and_a_second_tag_move_nothing(project: Story, line: BadLine) -> None:
    names = [f"{line.registry}/{name}" for name in ("here/scaled:v1", "here/scaled:v2", "there/scaled")]
    told = project.mlship("build", *(word for name in names for word in ("--push", name)))
    first, tagged, mounted = told["pushed"]
    assert first["sent"] == len(first["layers"])
    assert (tagged["moved"], tagged["present"], tagged["deploy"]) == (0, len(first["layers"]), first["deploy"])
    assert (mounted["moved"], mounted["mounted"]) == (0, len(first["layers"]))
    assert mounted["reference"] == f"{names[2]}:{told['image']['reference']}"  # no tag: the content id gives one
    assert raw(mounted["reference"]) == raw(first["reference"])
    places = {(entry["repository"], entry["tag"]) for entry in told["variants"]}
    assert places >= {("here/scaled", "v1"), ("here/scaled", "v2"), ("there/scaled", told["image"]["reference"])}


@pytest.mark.parametrize("types", TYPES)
def test_every_form_has_its_media_types_and_the_same_content(project: Story, line: BadLine, types: str) -> None:
    manifest, config, gzip, plain = (f"application/vnd.{word}" for word in TYPES[types])
    content = ""
    for form in (types, f"{types},index", f"{types},gzip,user=1000:100"):
        report = pushed(project, f"{line.registry}/forms/{types}:{len(form)}", "--push-as", form)
        assert report["variant"] == form
        top = report["deploy"]
        if "index" in form:
            kind, index = got(top, INDEXES[types])
            assert kind == index["mediaType"] == raw(top)["mediaType"] == f"application/vnd.{INDEXES[types]}"
            (entry,) = index["manifests"]
            assert entry["platform"] == {"os": "linux", "architecture": "amd64"}
            top = f"{top.partition('@')[0]}@{entry['digest']}"
        kind, document = got(top, TYPES[types][0])
        assert kind == document["mediaType"] == manifest
        assert raw(top) == document
        assert document["config"]["mediaType"] == config
        kinds = {layer["mediaType"] for layer in document["layers"]}
        assert kinds == ({gzip} if "gzip" in form else {gzip, plain})  # the weights are raw where that is allowed
        options = ["--tls-verify=false", "--override-os=linux", "--override-arch=amd64"]
        told = json.loads(subprocess.run(["skopeo", *options[1:], "inspect", options[0], "--config", f"docker://{top}"],
                                         check=True, capture_output=True).stdout)  # fmt: skip
        assert told["config"]["User"] == ("1000:100" if "user" in form else "65532:65532")
        content = content or told["config"]["Labels"]["mlship.content"]
        assert told["config"]["Labels"]["mlship.content"] == content == report["contents"][0]


def test_papers_go_along_under_the_fallback_tag(project: Story, line: BadLine) -> None:
    name = f"{line.registry}/papers/scaled"
    report = pushed(project, f"{name}:v1", "--push-as", "docker-v2s2", "--sbom", "sbom")
    assert report["papers"] == ["scaled.spdx.json", "scaled.cdx.json"]
    listed = raw(f"{name}:{report['deploy'].partition('@')[2].replace(':', '-')}")
    assert listed["mediaType"] == f"application/vnd.{INDEXES['oci']}"
    assert [entry["artifactType"] for entry in listed["manifests"]] == [
        "application/spdx+json",
        "application/vnd.cyclonedx+json",
    ]
    for entry, title in zip(listed["manifests"], report["papers"], strict=True):
        manifest = raw(f"{name}@{entry['digest']}")
        assert manifest["subject"]["digest"] == report["deploy"].partition("@")[2]
        with urllib.request.urlopen(
            f"http://{line.registry}/v2/papers/scaled/blobs/{manifest['layers'][0]['digest']}"
        ) as answer:
            assert answer.read() == (project.folder / "sbom" / title).read_bytes()
    line.requests.clear()
    assert pushed(project, f"{name}:v1", "--push-as", "docker-v2s2")["papers"] == report["papers"]
    assert line.count("PUT", "POST", "PATCH") == 0

    line.rule = lambda request: Say(415) if request.method == "PUT" and "/manifests/sha256:" in request.path else None
    refused = pushed(project, f"{line.registry}/images-only/scaled:v1")
    assert refused["papers"] == [] and raw(refused["reference"])["layers"]
    assert [finding["code"] for finding in refused["findings"]] == ["papers-refused"]


@pytest.mark.engine
@pytest.mark.parametrize("form", ["oci", "docker-v2s2,gzip,user=1000:100"])
def test_an_engine_pulls_what_was_pushed_and_serves_it(project: Story, registry: tuple[int, Path], form: str) -> None:
    report = pushed(project, f"127.0.0.1:{registry[0]}/served/scaled", "--push-as", form)
    scale = (project.folder / "weights.bin").read_bytes()[0]
    port = free_port()
    hardened = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]
    docker("pull", "-q", report["deploy"])
    try:
        container = docker("run", "-d", "--rm", *hardened, "-p", f"127.0.0.1:{port}:8080", report["deploy"])
        try:
            wait_until_ready(f"http://127.0.0.1:{port}")
            answer = predicted(f"http://127.0.0.1:{port}", b'{"instances": [{"pieces": 5}]}')
            assert answer["predictions"] == [5 * scale]
            user = docker("inspect", "-f", "{{.Config.User}}", container)
        finally:
            docker("kill", container)
    finally:
        docker("rmi", "-f", report["deploy"])
    assert user == ("1000:100" if "user" in form else "65532:65532")


def docker(*argv: str) -> str:
    done = subprocess.run(["docker", *argv], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def wait_until_ready(endpoint: str) -> None:
    for _ in range(200):
        try:
            with urllib.request.urlopen(f"{endpoint}/readyz", timeout=2):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{endpoint} never became ready")


def test_a_push_that_was_killed_goes_on(project: Story, line: BadLine, registry: tuple[int, Path]) -> None:
    train(project, 7)
    project.mlship("build")
    line.delay_s = 0.01
    words = [*project.command, "build", "--push", f"{line.registry}/killed/scaled:v1"]
    with (project.folder / "killed.log").open("w") as log:
        process = subprocess.Popen(words, cwd=project.folder, env=dict(project.environ), stdout=log, stderr=log)
    deadline = time.monotonic() + 60
    while largest(line) < WEIGHTS * 0.8 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -9, (project.folder / "killed.log").read_text()
    line.delay_s = 0.0
    time.sleep(0.3)  # what is on the line arrives
    before = line.received
    line.requests.clear()
    report = pushed(project, f"{line.registry}/killed/scaled:v1")
    assert report["moved"] == line.received
    total = sum(layer["size"] for layer in report["layers"])
    assert before + report["moved"] < total + WEIGHTS // 3  # from zero it would be the largest blob's 80 % more
    assert wrong_blobs(registry[1]) == []
    assert raw(report["reference"])["layers"]


def largest(line: BadLine) -> int:
    """Bytes of the largest blob that came, or came on."""
    return max((request.received for request in list(line.requests) if "/blobs/uploads/" in request.path), default=0)


def test_a_registry_that_stopped_is_unreachable_and_nothing_is_lost(project: Story, tmp_path: Path) -> None:
    with real_registry(tmp_path / "registry") as port:
        reference = f"localhost:{port}/ml/scaled:v1"
        pushed(project, reference)
    said = project.refused("build", "--push", reference, exit=13)
    assert f"the registry localhost:{port} does not answer" in said
    assert "then run it again: what has arrived is kept" in said
    assert "the image is built: content" in said and "the same command again only pushes" in said
    assert project.mlship("build")["unchanged"] is True
    train(project, 11)
    said = project.refused("build", "--push", reference, exit=13)
    assert f"the registry localhost:{port} does not answer" in said and "nothing was built" in said
    assert project.mlship("build")["unchanged"] is False


def test_a_wrong_password_is_denied_with_the_login_to_do(project: Story, tmp_path: Path) -> None:
    (tmp_path / "htpasswd").write_text(f"eve:{HASH}\n")
    with real_registry(tmp_path, f"auth: {{htpasswd: {{realm: r, path: '{tmp_path}/htpasswd'}}}}\n") as port:
        reference = f"localhost:{port}/ml/scaled:v1"
        said = project.refused("build", "--push", reference, exit=8)
        assert f"localhost:{port} wants credentials for pushing ml/scaled, and there are none (401)" in said
        with logged_in(project, f"localhost:{port}", "another"):
            said = project.refused("build", "--push", reference, exit=8)
        assert f"does not accept the credentials of eve ({project.folder}/config.json)" in said
        assert f"docker login localhost:{port}" in said and "another" not in said
        with logged_in(project, f"localhost:{port}", WORD):
            assert pushed(project, reference)["sent"] > 0
    kept = [path.read_text() for path in (Path(project.environ["MLSHIP_HOME"]) / "registries").glob("*.json")]
    assert WORD not in "".join(kept)


@contextmanager
def logged_in(project: Story, registry: str, word: str) -> Iterator[None]:
    auth = base64.b64encode(f"eve:{word}".encode()).decode()
    path = project.write("config.json", json.dumps({"auths": {registry: {"auth": auth}}}))
    try:
        yield
    finally:
        path.unlink()
