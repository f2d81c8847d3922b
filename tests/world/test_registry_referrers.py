"""Papers in a real registry that cannot list referrers, in one that can, and in one that wants none."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from registry_images import image_of
from registry_parts import Action, BadLine, Request, Say, bad_line, real_registry

from mlship.errors import Exit, MlshipError
from mlship.oci.image import Descriptor, Image
from mlship.oci.layout import INDEX_TYPE, MANIFEST_TYPE, Layout
from mlship.oci.referrers import Document, Referrer, attach, fallback_tag
from mlship.oci.registry.artifact import Artifact, fetch_artifact, push_artifact
from mlship.oci.registry.client import Registry
from mlship.oci.registry.credentials import nobody
from mlship.oci.registry.pull import read_document
from mlship.oci.registry.push import push
from mlship.oci.registry.push_referrers import push_referrers
from mlship.oci.registry.reference import parse_reference

pytestmark = pytest.mark.world

FIRST = Document("churn.spdx.json", "application/spdx+json", b'{"first": 1}')
SECOND = Document("churn.spdx.json", "application/spdx+json", b'{"second": 2}')


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with real_registry(tmp_path_factory.mktemp("registry")) as started:
        yield started


@pytest.fixture
def line(port: int) -> Iterator[BadLine]:
    with bad_line(port) as counted:
        yield counted


class Placed:
    """An image that was pushed, whose papers are to follow."""

    def __init__(self, line: BadLine, folder: Path, repository: str) -> None:
        self.line, self.repository = line, repository
        self.layout = Layout(folder)
        self.image: Image = image_of(self.layout, sizes=(10,), seed=1)
        with self.registry() as registry:
            reference = parse_reference(f"{line.registry}/{repository}:v1")
            (self.subject,) = push(registry, reference, self.layout, [self.image], kind="docker-v2s2").manifests
        line.requests.clear()

    def registry(self) -> Registry:
        return Registry(self.line.registry, os.environ, nobody, pause=lambda seconds: None)

    def papers(self, document: Document) -> tuple[Referrer, ...]:
        papers = attach(self.layout, self.image.manifest, [document])
        with self.registry() as registry:
            return push_referrers(registry, self.repository, self.layout, papers, self.subject)

    def listed(self) -> list[dict[str, Any]]:
        return list(self.get(fallback_tag(self.subject.digest), INDEX_TYPE)["manifests"])

    def get(self, version: str, kind: str) -> dict[str, Any]:
        url = f"http://{self.line.registry}/v2/{self.repository}/manifests/{version}"
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": kind}), timeout=20) as answer:
            return dict(json.loads(answer.read()))


def test_papers_are_listed_under_the_fallback_tag_and_name_what_was_pushed(line: BadLine, tmp_path: Path) -> None:
    placed = Placed(line, tmp_path, "papers/churn")
    (made,) = placed.papers(FIRST)
    assert placed.subject != placed.image.manifest
    (entry,) = placed.listed()
    assert (entry["digest"], entry["artifactType"]) == (made.manifest.digest, FIRST.media_type)
    manifest = placed.get(made.manifest.digest, MANIFEST_TYPE)
    assert manifest["subject"]["digest"] == placed.subject.digest
    line.requests.clear()
    assert placed.papers(FIRST) == (made,)
    assert line.count("PUT", "POST") == 0


def test_a_newer_paper_takes_the_place_of_the_older_and_others_stay(line: BadLine, tmp_path: Path) -> None:
    placed = Placed(line, tmp_path, "newer/churn")
    placed.papers(FIRST)
    signature = Document("signature", "application/vnd.example.signature", b"signed")
    with placed.registry() as registry:  # as somebody else's program would
        other = Layout(tmp_path / "other")
        papers = attach(other, Descriptor(MANIFEST_TYPE, placed.subject.digest, placed.subject.size), [signature])
        push_referrers(registry, placed.repository, other, papers, placed.subject)
    placed.papers(SECOND)
    assert {entry["artifactType"] for entry in placed.listed()} == {FIRST.media_type, signature.media_type}
    digests = [entry["digest"] for entry in placed.listed() if entry["artifactType"] == FIRST.media_type]
    (layer,) = placed.get(digests[0], MANIFEST_TYPE)["layers"]
    assert layer["size"] == len(SECOND.content)


def test_a_registry_that_lists_referrers_itself_gets_no_tag(line: BadLine, tmp_path: Path) -> None:
    placed = Placed(line, tmp_path, "lists/churn")
    empty = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": []}).encode()

    def rule(request: Request) -> Action | None:
        if "/referrers/" in request.path:
            return Say(200, body=empty)
        return (
            Say(201, {"OCI-Subject": placed.subject.digest})
            if request.method == "PUT" and "/manifests/" in request.path
            else None
        )

    line.rule = rule
    placed.papers(FIRST)
    assert not [request for request in line.requests if fallback_tag(placed.subject.digest) in request.path]


def test_an_artifact_lies_under_its_own_tag_beside_the_image_and_a_newer_one_takes_its_place(
    line: BadLine, tmp_path: Path
) -> None:
    placed = Placed(line, tmp_path, "records/churn")
    place = parse_reference(f"{line.registry}/records/churn:mlship-churn_r1-aaaaaa")
    with placed.registry() as registry:
        assert read_document(registry, place.at(placed.subject.digest)).described == placed.subject
        for document in (FIRST, SECOND):
            push_artifact(registry, place, Artifact(document, placed.subject, {"mlship.release": "r1-aaaaaa"}))
            assert fetch_artifact(registry, place, FIRST.media_type) == document.content
        with pytest.raises(MlshipError, match="application/other was expected"):
            fetch_artifact(registry, place, "application/other")
    (entry,) = placed.listed()
    assert (entry["artifactType"], entry["annotations"]["mlship.release"]) == (FIRST.media_type, "r1-aaaaaa")
    assert placed.get(entry["digest"], MANIFEST_TYPE)["subject"]["digest"] == placed.subject.digest


@pytest.mark.parametrize("status", [400, 404, 405, 415])
def test_a_registry_that_wants_no_papers_is_told_apart_from_one_that_fails(line: BadLine, tmp_path: Path, status: int) -> None:
    placed = Placed(line, tmp_path, f"refuses/churn-{status}")
    line.rule = lambda request: Say(status) if request.method == "PUT" and "/manifests/" in request.path else None
    with pytest.raises(MlshipError) as refused:
        placed.papers(FIRST)
    assert refused.value.code in ("registry-protocol", "registry-not-found")
    line.rule = lambda request: Say(503) if request.method == "PUT" and "/manifests/" in request.path else None
    with pytest.raises(MlshipError) as failing:
        placed.papers(FIRST)
    assert failing.value.exit is Exit.UNREACHABLE
