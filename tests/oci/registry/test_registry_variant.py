import json
from pathlib import Path

import pytest

from mlship.errors import Exit, MlshipError
from mlship.oci.image import CONTENT_LABEL, Image
from mlship.oci.layer import Compression, Entry, write_layer
from mlship.oci.layout import Layout
from mlship.oci.registry.pull import choose_platform
from mlship.oci.registry.reference import parse_reference
from mlship.oci.registry.variant import KINDS, variant


def image_of(layout: Layout, compression: Compression = "gzip", platform: str = "linux/arm64") -> Image:
    layer = write_layer(layout, [Entry("a", content=b"a")], role="model", name="churn", compression=compression)
    return layout.write_image([layer, layer], {"Labels": {"mlship.project": "churn"}}, platform)


def test_as_oci_an_image_is_what_lies_in_the_layout(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    image = image_of(layout)
    made = variant(layout, [image], "oci")
    assert made.top.described == image.manifest
    assert made.top.content == layout.path(image.manifest.digest).read_bytes()


def test_each_kind_has_its_own_digest_and_the_same_blobs(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    image = image_of(layout)
    before = sorted(path.name for path in layout.blobs.iterdir())
    made = [variant(layout, [image], kind) for kind in KINDS]
    assert len({each.top.described.digest for each in made}) == len(KINDS)
    assert len({tuple(blob.described.digest for blob in each.blobs) for each in made}) == 1
    assert {each.contents for each in made} == {(image.content,)}
    assert sorted(path.name for path in layout.blobs.iterdir()) == before


def test_a_variant_is_made_the_same_every_time(tmp_path: Path) -> None:
    layouts = [Layout(tmp_path / name) for name in "ab"]
    for kind in KINDS:
        first, second = (variant(layout, [image_of(layout)], kind) for layout in layouts)
        assert first == second


def test_a_blob_that_occurs_twice_is_named_once(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    assert [blob.name for blob in variant(layout, [image_of(layout)], "oci").blobs] == ["model churn", "configuration"]


def test_docker_manifests_have_no_annotations_and_oci_ones_name_the_content(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    image = image_of(layout)
    docker = json.loads(variant(layout, [image], "docker-v2s2").manifests[0].content)
    assert set(docker) == {"schemaVersion", "mediaType", "config", "layers"}
    assert all(set(layer) == {"mediaType", "digest", "size"} for layer in docker["layers"])
    index = variant(layout, [image], "oci-index").index
    assert index is not None and json.loads(index.content)["annotations"] == {CONTENT_LABEL: image.content}


def test_an_index_names_the_one_platform(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    for kind in ("oci-index", "docker-v2s2-index"):
        made = variant(layout, [image_of(layout)], kind)
        assert made.index is not None
        (entry,) = json.loads(made.index.content)["manifests"]
        assert entry["platform"] == {"os": "linux", "architecture": "arm64"}
        assert (entry["digest"], entry["size"]) == (made.manifests[0].described.digest, len(made.manifests[0].content))


def test_several_platforms_need_an_index_that_names_each_content(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    images = [image_of(layout), image_of(layout, platform="linux/amd64")]
    with pytest.raises(
        MlshipError, match="for one platform, and this build has linux/arm64, linux/amd64; push the kind oci-index"
    ):
        variant(layout, images, "oci")
    made = variant(layout, images, "oci-index")
    entries = json.loads(made.top.content)["manifests"]
    assert [entry["annotations"][CONTENT_LABEL] for entry in entries] == [image.content for image in images]
    assert len(made.blobs) == 1 + 2  # the layer is the same


def test_zstd_layers_have_no_form_for_docker(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    image = image_of(layout, "zstd")
    assert variant(layout, [image], "oci").top.described == image.manifest
    with pytest.raises(MlshipError, match="which has no form as docker-v2s2") as refused:
        variant(layout, [image], "docker-v2s2")
    assert (refused.value.exit, refused.value.code) == (Exit.USAGE, "no-variant")
    assert "compression: gzip" in refused.value.fix


def test_a_kind_that_is_none_is_refused_with_those_there_are(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with pytest.raises(MlshipError, match="'v1' is not a kind of manifest; one of oci, docker-v2s2,"):
        variant(layout, [image_of(layout)], "v1")  # type: ignore[arg-type]


REFERENCE = parse_reference("r.io/python:3.11")


def entry(digest: str, **platform: str) -> dict[str, object]:
    return {"digest": digest, "platform": platform}


def test_of_several_variants_the_plain_one_is_taken_and_papers_are_not_platforms() -> None:
    index = {
        "manifests": [
            entry("papers", os="unknown", architecture="unknown"),
            entry("v3", os="linux", architecture="amd64", variant="v3"),
            entry("plain", os="linux", architecture="amd64"),
            entry("arm", os="linux", architecture="arm64", variant="v8"),
        ]
    }
    assert choose_platform(index, "linux/amd64", REFERENCE) == "plain"
    assert choose_platform(index, "linux/arm64", REFERENCE) == "arm"
    with pytest.raises(MlshipError, match=r"r\.io/python:3\.11 is not there for linux/s390x") as missing:
        choose_platform(index, "linux/s390x", REFERENCE)
    assert missing.value.what.endswith("; only for linux/amd64, linux/arm64")


def test_an_index_of_nothing_is_said() -> None:
    with pytest.raises(MlshipError, match="is not there for linux/amd64"):
        choose_platform({"manifests": []}, "linux/amd64", REFERENCE)
