from __future__ import annotations

import json
from pathlib import Path

from mlship.oci.image import Image
from mlship.oci.index import write_index
from mlship.oci.layer import Entry, write_layer
from mlship.oci.layout import INDEX_TYPE, Layout


def image_for(layout: Layout, platform: str) -> Image:
    layer = write_layer(layout, [Entry("a", content=b"a")], role="model", name="churn")
    return layout.write_image([layer], {"Labels": {"mlship.project": "churn"}}, platform)


def test_one_index_names_the_images_of_all_platforms_in_one_order(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    images = [image_for(layout, platform) for platform in ("linux/arm64", "linux/amd64")]
    blob = write_index(layout, "churn", images)
    assert write_index(layout, "churn", images[::-1]) == blob
    entries = json.loads(layout.path(blob.digest).read_bytes())["manifests"]
    assert [entry["platform"]["architecture"] for entry in entries] == ["amd64", "arm64"]
    assert [entry["digest"] for entry in entries] == [images[1].manifest.digest, images[0].manifest.digest]


def test_an_index_is_listed_once_and_is_no_image(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    images = [image_for(layout, platform) for platform in ("linux/arm64", "linux/amd64")]
    for _ in range(2):
        write_index(layout, "churn", images)
    listed = json.loads((tmp_path / "index.json").read_bytes())["manifests"]
    assert [entry["mediaType"] == INDEX_TYPE for entry in listed] == [False, False, True]
    assert layout.images("churn") == images[::-1]
    assert layout.find("churn") == images[1]
