"""Images into and out of a real registry."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from registry_images import image_of, wrong_blobs
from registry_parts import BadLine, bad_line, real_registry

from mlship.errors import Exit, MlshipError
from mlship.oci.layout import Layout
from mlship.oci.registry.client import Registry
from mlship.oci.registry.credentials import nobody
from mlship.oci.registry.pull import pull
from mlship.oci.registry.push import push
from mlship.oci.registry.reference import parse_reference
from mlship.oci.registry.variant import KINDS, Kind

pytestmark = pytest.mark.world

TYPES = {
    "oci": ("vnd.oci.image.manifest.v1+json", "vnd.oci.image.config.v1+json", "vnd.oci.image.layer.v1.tar"),
    "docker-v2s2": (
        "vnd.docker.distribution.manifest.v2+json",
        "vnd.docker.container.image.v1+json",
        "vnd.docker.image.rootfs.diff.tar",
    ),
}
INDEXES = {"oci-index": "vnd.oci.image.index.v1+json", "docker-v2s2-index": "vnd.docker.distribution.manifest.list.v2+json"}


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with real_registry(tmp_path_factory.mktemp("registry")) as started:
        yield started


@pytest.fixture
def line(port: int) -> Iterator[BadLine]:
    """One that lets everything through, and counts."""
    with bad_line(port) as counted:
        yield counted


@pytest.fixture
def registry(line: BadLine) -> Iterator[Registry]:
    with Registry(line.registry, os.environ, nobody) as opened:
        yield opened


@pytest.fixture(autouse=True, scope="module")
def other_tool() -> None:
    if shutil.which("skopeo") is None:
        pytest.skip("no skopeo: apt-get install skopeo")


def raw(line: BadLine, name: str) -> dict[str, object]:
    """The document as another tool gets it."""
    argv = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{line.registry}/{name}"]
    return dict(json.loads(subprocess.run(argv, check=True, capture_output=True).stdout))


def test_an_image_comes_back_byte_for_byte(registry: Registry, line: BadLine, tmp_path: Path) -> None:
    here, there = Layout(tmp_path / "here"), Layout(tmp_path / "there")
    image = image_of(here)
    reference = parse_reference(f"{line.registry}/byte/churn:v1")
    pushed = push(registry, reference, here, [image])
    assert pushed.reference == reference.at(image.manifest.digest)
    assert pushed.contents == (image.content,)
    for asked in (reference, pushed.reference):
        assert pull(registry, asked, there, platform="linux/amd64") == image
    names = {path.name: path.read_bytes() for path in here.blobs.iterdir()}
    assert {path.name: path.read_bytes() for path in there.blobs.iterdir()} == names


def test_what_is_there_is_not_sent_again(registry: Registry, line: BadLine, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    image = image_of(layout, seed=2)
    reference = parse_reference(f"{line.registry}/again/churn:v1")
    first = push(registry, reference, layout, [image])
    assert len(first.sent) == 4
    assert line.received == first.moved > image.compressed_size
    line.requests.clear()
    second = push(registry, reference, layout, [image])
    assert (second.moved, line.received, line.count("POST", "PATCH")) == (0, 0, 0)
    assert second.present == first.sent
    assert [request.method for request in line.requests] == ["HEAD"]  # of the tag


def test_another_tag_of_what_is_there_moves_no_blob(registry: Registry, line: BadLine, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    image = image_of(layout, seed=2)
    push(registry, parse_reference(f"{line.registry}/tags/churn:v1"), layout, [image])
    line.requests.clear()
    pushed = push(registry, parse_reference(f"{line.registry}/tags/churn:v2"), layout, [image])
    assert (pushed.moved, line.received, len(pushed.present)) == (0, 0, 4)
    assert (line.count("HEAD"), line.count("PUT"), len(line.requests)) == (1 + 4, 1, 6)


def test_only_the_layer_that_changed_is_sent(registry: Registry, line: BadLine, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    old = image_of(layout, sizes=(400_000, 1000), seed=3)
    reference = parse_reference(f"{line.registry}/layer/churn:v1")
    push(registry, reference, layout, [old])
    new = image_of(layout, sizes=(400_000, 1000, 70_000), seed=3)
    pushed = push(registry, reference, layout, [new])
    assert set(pushed.sent) == {new.layers[2].blob.digest, layout.read_json(new.manifest.digest)["config"]["digest"]}
    assert pushed.moved < 75_000


def test_blobs_of_another_repository_are_mounted(registry: Registry, line: BadLine, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    image = image_of(layout, seed=4)
    push(registry, parse_reference(f"{line.registry}/mount/base:v1"), layout, [image])
    line.requests.clear()
    target = parse_reference(f"{line.registry}/mount/churn:v1")
    pushed = push(registry, target, layout, [image], mount_from=lambda digest: ["mount/base"])
    assert (pushed.moved, len(pushed.mounted), line.received) == (0, 4, 0)
    assert pull(registry, target, Layout(tmp_path / "there"), platform="linux/amd64") == image


def test_what_cannot_be_mounted_is_sent(registry: Registry, line: BadLine, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    image = image_of(layout, seed=5)
    target = parse_reference(f"{line.registry}/unmounted/churn:v1")
    pushed = push(registry, target, layout, [image], mount_from=lambda digest: ["nothing/here"])
    assert len(pushed.sent) == 4
    assert line.count("POST", status=202) == 4  # the session that the registry began instead of the mount is used


@pytest.mark.parametrize("compression", ["gzip", "none"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_its_media_types(
    registry: Registry, line: BadLine, tmp_path: Path, kind: Kind, compression: str
) -> None:
    layout = Layout(tmp_path)
    image = image_of(layout, sizes=(1000, 2000), seed=6, compression=compression)  # type: ignore[arg-type]
    name = f"kinds/{compression}:{kind}"
    pushed = push(registry, parse_reference(f"{line.registry}/{name}"), layout, [image], kind=kind)
    top = raw(line, name)
    if kind in INDEXES:
        assert top["mediaType"] == f"application/{INDEXES[kind]}"
        (entry,) = top["manifests"]  # type: ignore[misc]
        assert entry["platform"] == {"os": "linux", "architecture": "amd64"}
        top = raw(line, f"kinds/{compression}@{entry['digest']}")
    manifest, config, layer = TYPES[kind.removesuffix("-index")]
    ending = {"gzip": ".gzip" if "docker" in kind else "+gzip", "none": ""}[compression]
    assert top["mediaType"] == f"application/{manifest}"
    assert top["config"]["mediaType"] == f"application/{config}"  # type: ignore[index]
    assert [it["mediaType"] for it in top["layers"]] == [f"application/{layer}{ending}"] * 2  # type: ignore[index,union-attr]
    assert [it["digest"] for it in top["layers"]] == [it.blob.digest for it in image.layers]  # type: ignore[index,union-attr]
    back = pull(registry, pushed.reference, Layout(tmp_path / "there"), platform="linux/amd64")
    assert (back.content, back.config) == (image.content, image.config)
    assert [it.diff_id for it in back.layers] == [it.diff_id for it in image.layers]
    assert wrong_blobs(tmp_path / "there") == []


def test_an_image_that_came_as_docker_goes_on_as_oci(registry: Registry, line: BadLine, tmp_path: Path) -> None:
    here, there = Layout(tmp_path / "here"), Layout(tmp_path / "there")
    image = image_of(here, sizes=(1000,), seed=7)
    first = push(registry, parse_reference(f"{line.registry}/docker/churn:v1"), here, [image], kind="docker-v2s2")
    came = pull(registry, first.reference, there, platform="linux/amd64")
    second = push(registry, parse_reference(f"{line.registry}/docker/churn:v2"), there, [came], kind="oci")
    assert second.moved == 0
    assert raw(line, "docker/churn:v2")["mediaType"] == f"application/{TYPES['oci'][0]}"


def test_another_tool_copies_what_was_pushed(registry: Registry, line: BadLine, tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    for kind in KINDS:
        push(registry, parse_reference(f"{line.registry}/copy/churn:{kind}"), layout, [image_of(layout, seed=8)], kind=kind)
        source = f"docker://{line.registry}/copy/churn:{kind}"
        argv = ["skopeo", "copy", "-q", "--src-tls-verify=false", source, f"dir:{tmp_path / kind}"]
        subprocess.run(argv, check=True, capture_output=True)


@pytest.mark.parametrize("kind", INDEXES)
def test_several_platforms_are_one_index_and_what_they_share_is_sent_once(
    registry: Registry, line: BadLine, tmp_path: Path, kind: Kind
) -> None:
    layout = Layout(tmp_path)
    platforms = ("linux/amd64", "linux/arm64")
    images = [image_of(layout, (100_000, 10), seed=11, platform=platform) for platform in platforms]
    reference = parse_reference(f"{line.registry}/several/{kind}:v1")
    pushed = push(registry, reference, layout, images, kind=kind)
    assert pushed.contents == tuple(image.content for image in images)
    assert len(pushed.sent) == 2 + 2  # the layers are the same, the configurations are not
    assert pushed.moved == line.received < 110_000
    for image in images:
        assert pull(registry, pushed.reference, Layout(tmp_path / "there"), platform=image.platform).content == image.content
    again = push(registry, reference, layout, images, kind=kind)
    assert (again.moved, again.manifests) == (0, pushed.manifests)


def test_a_digest_that_is_not_this_image_is_refused_before_the_tag_moves(
    registry: Registry, line: BadLine, tmp_path: Path
) -> None:
    layout = Layout(tmp_path)
    image = image_of(layout, sizes=(10,), seed=9)
    wanted = parse_reference(f"{line.registry}/pinned/churn").at("sha256:" + "0" * 64)
    with pytest.raises(MlshipError, match="was asked for, and this image is sha256:"):
        push(registry, wanted, layout, [image])
    assert push(registry, wanted.at(image.manifest.digest), layout, [image]).reference.digest == image.manifest.digest


def test_an_image_that_is_not_there_is_said(registry: Registry, line: BadLine, tmp_path: Path) -> None:
    with pytest.raises(MlshipError, match=r"there is no localhost:\d+/nothing/here:v1") as missing:
        pull(registry, parse_reference(f"{line.registry}/nothing/here:v1"), Layout(tmp_path), platform="linux/amd64")
    assert missing.value.exit is Exit.USAGE


@pytest.mark.parametrize("kind", ["oci", "oci-index"])
def test_another_platform_than_the_image_has_is_said(registry: Registry, line: BadLine, tmp_path: Path, kind: Kind) -> None:
    layout = Layout(tmp_path)
    reference = parse_reference(f"{line.registry}/platform/churn:{kind}")
    push(registry, reference, layout, [image_of(layout, sizes=(10,), seed=10)], kind=kind)
    with pytest.raises(MlshipError, match="linux/arm64") as missing:
        pull(registry, reference, Layout(tmp_path / "there"), platform="linux/arm64")
    assert missing.value.code == "no-platform" and "linux/amd64" in missing.value.what


def test_nobody_there_is_said_at_once(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with Registry("localhost:1", os.environ, nobody) as nowhere, pytest.raises(MlshipError) as lost:
        push(nowhere, parse_reference("localhost:1/x:v1"), layout, [image_of(layout, sizes=(10,))])
    assert (lost.value.exit, lost.value.code) == (Exit.UNREACHABLE, "registry-unreachable")
