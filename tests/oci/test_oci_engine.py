import io
import json
import tarfile

from mlship.oci.engine import docker_archive, engine_tag
from mlship.oci.layer import Entry, write_layer
from mlship.oci.layout import Layout, short


def test_the_stream_is_an_oci_layout_and_a_docker_archive(tmp_path):
    layout = Layout(tmp_path)
    layer = write_layer(layout, [Entry("a", content=b"1")], role="base", name="b")
    image = layout.write_image([layer], {"Labels": {"mlship.project": "churn"}}, "linux/amd64")
    with tarfile.open(fileobj=io.BytesIO(b"".join(docker_archive(layout, image)))) as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}
    docker = json.loads(files["manifest.json"])[0]
    index = json.loads(files["index.json"])
    assert engine_tag(image) == f"mlship/churn:{short(image.content)}"
    assert docker["RepoTags"] == [engine_tag(image)]
    assert docker["Layers"] == [f"blobs/sha256/{layer.blob.digest[7:]}"]
    assert json.loads(files[docker["Config"]]) == image.config
    assert index["manifests"][0]["digest"] == image.manifest.digest
    assert json.loads(files["oci-layout"])["imageLayoutVersion"] == "1.0.0"
    assert set(files) == {
        "manifest.json",
        "index.json",
        "oci-layout",
        *(f"blobs/sha256/{path.name}" for path in layout.blobs.iterdir()),
    }


def test_an_image_without_a_project_still_has_a_tag(tmp_path):
    layout = Layout(tmp_path)
    image = layout.write_image([], {}, "linux/amd64")
    assert engine_tag(image).startswith("mlship/image:")
