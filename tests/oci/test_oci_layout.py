import hashlib
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from mlship.disk import SCRATCH
from mlship.errors import MlshipError
from mlship.oci.image import CONTENT_LABEL
from mlship.oci.layer import Entry, write_layer
from mlship.oci.layout import Layout, short


def image_of(layout, text="1", project="churn"):
    layer = write_layer(layout, [Entry("a", content=text.encode())], role="model", name="m")
    return layout.write_image([layer], {"User": "65532:65532", "Labels": {"mlship.project": project}}, "linux/amd64")


def test_the_layout_is_what_the_specification_says(tmp_path):
    layout = Layout(tmp_path)
    image = image_of(layout)
    assert json.loads((tmp_path / "oci-layout").read_bytes()) == {"imageLayoutVersion": "1.0.0"}
    entry = json.loads((tmp_path / "index.json").read_bytes())["manifests"][0]
    manifest = json.loads(layout.path(entry["digest"]).read_bytes())
    config = json.loads(layout.path(manifest["config"]["digest"]).read_bytes())
    assert entry["platform"] == {"os": "linux", "architecture": "amd64"}
    assert manifest["layers"][0]["annotations"] == {"mlship.role": "model", "mlship.name": "m", "mlship.size": str(image.size)}
    assert config["rootfs"]["diff_ids"] == [image.layers[0].diff_id]
    assert config["config"]["Labels"] == {"mlship.project": "churn", CONTENT_LABEL: image.content}


def test_every_blob_has_the_name_of_its_digest(tmp_path):
    layout = Layout(tmp_path)
    image_of(layout)
    for path in layout.blobs.iterdir():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name


def test_an_image_is_found_by_project_content_and_the_beginning_of_it(tmp_path):
    layout = Layout(tmp_path)
    old, new = image_of(layout, "1"), image_of(layout, "2")
    assert layout.find("churn") == new
    assert layout.find(old.content) == old
    assert layout.find(short(old.content)) == old
    assert layout.find(old.content[7:13]) == old
    assert layout.images() == [new, old]
    assert layout.images("other") == []


def test_the_image_built_last_is_the_newest_also_when_it_was_built_before(tmp_path):
    layout = Layout(tmp_path)
    old = image_of(layout, "1")
    image_of(layout, "2")
    assert image_of(layout, "1") == old == layout.find("churn")
    assert len(layout.images()) == 2


def test_an_image_can_belong_to_two_projects(tmp_path):
    layout = Layout(tmp_path)
    image = image_of(layout)
    layout.tag("fraud", image)
    assert layout.find("fraud") == layout.find("churn") == image


def test_an_unknown_image_names_the_known_ones(tmp_path):
    layout = Layout(tmp_path)
    image_of(layout)
    with pytest.raises(MlshipError, match="there is no image 'fraud' on this machine; known: churn"):
        layout.find("fraud")
    with pytest.raises(MlshipError, match="there is no image 'c41e07' on this machine; mlship build"):
        Layout(tmp_path / "empty").find("c41e07")


def test_a_beginning_of_several_images_is_refused(tmp_path):
    layout = Layout(tmp_path)
    index = {"manifests": [{"digest": f"sha256:{n * 64}", "annotations": {CONTENT_LABEL: f"sha256:abcd{n}"}} for n in "12"]}
    layout.put_blob(b"", "x")
    (tmp_path / "index.json").write_text(json.dumps(index))
    with pytest.raises(MlshipError, match="'abcd' is the beginning of 2 images: abcd1, abcd2"):
        layout.find("abcd")


def test_the_content_id_does_not_depend_on_the_compression(tmp_path):
    layout = Layout(tmp_path)
    layers = [
        write_layer(layout, [Entry("a", content=b"1")], role="model", name="m", compression=kind) for kind in ("gzip", "none")
    ]
    first, second = (layout.write_image([layer], {"Labels": {}}, "linux/amd64") for layer in layers)
    assert first.content == second.content
    assert first.manifest != second.manifest


def test_builds_at_once_lose_no_image(tmp_path):
    layout = Layout(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(lambda number: image_of(Layout(tmp_path), str(number), f"p{number}"), range(16)))
    assert {image.content for image in layout.images()} == {image.content for image in images}


def test_an_interrupted_blob_leaves_nothing(tmp_path):
    layout = Layout(tmp_path)
    with pytest.raises(KeyboardInterrupt), layout.writer() as blob:
        blob.write(b"half")
        raise KeyboardInterrupt
    assert list(layout.blobs.iterdir()) == []


def test_what_a_killed_build_left_goes_with_the_next_blob(tmp_path):
    layout = Layout(tmp_path)
    image_of(layout)
    (layout.blobs / f"{SCRATCH}left").write_text("half")
    image_of(layout, "2")
    assert not list(layout.blobs.glob(f"{SCRATCH}*"))


def test_an_image_without_its_layer_is_not_written(tmp_path):
    layout = Layout(tmp_path)
    image = image_of(layout)
    layout.path(image.layers[0].blob.digest).unlink()
    with pytest.raises(MlshipError, match="of layer m is missing"):
        layout.write_image(image.layers, {}, "linux/amd64")


def test_a_changed_or_missing_document_is_noticed(tmp_path):
    layout = Layout(tmp_path)
    image = image_of(layout)
    layout.path(image.manifest.digest).write_text("{}")
    with pytest.raises(MlshipError, match="was changed"):
        layout.find("churn")
    layout.path(image.manifest.digest).unlink()
    with pytest.raises(MlshipError, match=f"the blob {image.manifest.digest} is missing"):
        layout.find("churn")


def test_a_damaged_index_is_named(tmp_path):
    (tmp_path / "index.json").write_text("[")
    with pytest.raises(MlshipError, match=r"index.json is not an image index"):
        Layout(tmp_path).images()


@pytest.mark.parametrize("digest", ["sha256:../../etc/passwd", "md5:" + "0" * 64, "sha256:" + "A" * 64])
def test_a_digest_that_is_none_never_becomes_a_path(tmp_path, digest):
    with pytest.raises(MlshipError, match="is not a sha256 digest"):
        Layout(tmp_path).path(digest)
