"""Documents attached to images: what the specifications say, in the layout and as values."""

from __future__ import annotations

import hashlib
import json

from mlship.oci.image import Descriptor
from mlship.oci.layer import Entry, write_layer
from mlship.oci.layout import MANIFEST_TYPE, Layout
from mlship.oci.referrers import (
    EMPTY,
    EMPTY_CONTENT,
    TITLE,
    Document,
    Referrer,
    attach,
    attached,
    fallback_index,
    fallback_tag,
    referrer_manifest,
)

SUBJECT = Descriptor(MANIFEST_TYPE, "sha256:" + "a" * 64, 700)
SPDX = "application/spdx+json"


def image_in(layout, project="churn"):
    layer = write_layer(layout, [Entry("a", content=b"1")], role="model", name="m")
    return layout.write_image([layer], {"Labels": {"mlship.project": project}}, "linux/amd64")


def test_a_referrer_is_an_artifact_manifest_with_the_image_as_its_subject():
    document = Descriptor(SPDX, "sha256:" + "b" * 64, 5)
    manifest = json.loads(referrer_manifest(document, SUBJECT, "churn.spdx.json"))
    assert manifest["artifactType"] == SPDX
    assert manifest["subject"] == {"mediaType": MANIFEST_TYPE, "digest": SUBJECT.digest, "size": 700}
    assert manifest["layers"] == [
        {"mediaType": SPDX, "digest": document.digest, "size": 5, "annotations": {TITLE: "churn.spdx.json"}}
    ]
    assert manifest["config"] == {"mediaType": EMPTY.media_type, "digest": EMPTY.digest, "size": 2}
    assert "sha256:" + hashlib.sha256(EMPTY_CONTENT).hexdigest() == EMPTY.digest


def test_the_fallback_tag_is_the_digest_with_a_dash():
    assert fallback_tag(SUBJECT.digest) == "sha256-" + "a" * 64


def test_the_fallback_index_keeps_what_others_attached_and_names_a_referrer_once():
    mine = Referrer(Descriptor(MANIFEST_TYPE, "sha256:" + "c" * 64, 9), SPDX, {TITLE: "churn.spdx.json"})
    signature = {"mediaType": MANIFEST_TYPE, "digest": "sha256:" + "d" * 64, "size": 1, "artifactType": "x/signature"}
    once = json.loads(fallback_index([mine], {"manifests": [signature]}))
    again = json.loads(fallback_index([mine], once))
    assert once == again
    assert [entry["artifactType"] for entry in once["manifests"]] == ["x/signature", SPDX]


def test_attached_documents_lie_in_the_layout_and_are_found_by_their_image(tmp_path):
    layout = Layout(tmp_path)
    image = image_in(layout)
    assert attached(layout, image.manifest) == ()
    attach(layout, image.manifest, [Document("churn.spdx.json", SPDX, b"{1}"), Document("churn.cdx.json", "x/cdx", b"{2}")])
    found = attached(layout, image.manifest)
    assert [referrer.artifact_type for referrer in found] == [SPDX, "x/cdx"]
    for referrer, content in zip(found, (b"{1}", b"{2}"), strict=True):
        manifest = layout.read_json(referrer.manifest.digest)
        assert layout.path(manifest["layers"][0]["digest"]).read_bytes() == content
        assert layout.path(manifest["config"]["digest"]).read_bytes() == b"{}"


def test_a_document_replaces_the_one_of_its_kind_and_title(tmp_path):
    layout = Layout(tmp_path)
    image = image_in(layout)
    first = attach(layout, image.manifest, [Document("a", SPDX, b"1"), Document("b", SPDX, b"2")])
    second = attach(layout, image.manifest, [Document("a", SPDX, b"3")])
    assert len(second) == 2
    assert first[1] in second
    assert first[0] not in second


def test_attaching_changes_neither_the_images_nor_which_is_found(tmp_path):
    layout = Layout(tmp_path)
    image = image_in(layout)
    attach(layout, image.manifest, [Document("a", SPDX, b"1")])
    assert layout.images() == [image]
    assert layout.find("churn") == image
    assert layout.find(image.content) == image
