"""The documents are what their formats' own tools accept, say what the facts say, and are the same for the same image."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from papers_image import DEB, SHA256, layout_with

from mlship.errors import MlshipError
from mlship.image.papers import cyclonedx, spdx
from mlship.image.papers.facts import Facts, Licence
from mlship.image.papers.papers import attach_papers, documents, write_papers
from mlship.image.papers.reading import read_facts
from mlship.image.papers.stamp import Stamp, stamp
from mlship.oci.image import BASE_DIGEST, BASE_NAME
from mlship.oci.referrers import attached

STAMP = Stamp("0.1.0")


@pytest.fixture
def facts(tmp_path) -> Facts:
    return read_facts(*layout_with(tmp_path / "images"))


def written(facts: Facts) -> tuple[dict[str, Any], dict[str, Any]]:
    return json.loads(spdx.spdx(facts, STAMP)), json.loads(cyclonedx.cyclonedx(facts, STAMP))


def one(entries: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = [entry for entry in entries if entry["name"] == name]
    return found


@pytest.mark.world  # the library and its schema take a second and a half to read
def test_cyclonedx_is_valid_by_its_own_library(facts):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    text = cyclonedx.cyclonedx(facts, Stamp("0.1.0", "2026-11-22T00:00:00Z")).decode()
    assert not list(JsonStrictValidator(SchemaVersion.V1_6).validate_str(text, all_errors=True) or ())


@pytest.mark.world  # the library takes a second to import
def test_spdx_is_valid_by_its_own_library(facts, tmp_path):
    from spdx_tools.spdx.parser.parse_anything import parse_file
    from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

    (tmp_path / "churn.spdx.json").write_bytes(spdx.spdx(facts, STAMP))
    document = parse_file(str(tmp_path / "churn.spdx.json"))
    assert [message.validation_message for message in validate_full_spdx_document(document)] == []


def test_every_purl_is_in_its_canonical_form(facts):
    from packageurl import PackageURL

    purls = [component.purl for component in facts.components if component.purl]
    assert len(purls) == 11
    assert [PackageURL.from_string(purl).to_string() for purl in purls] == purls


def test_both_name_everything_with_version_hash_and_purl(facts):
    first, second = written(facts)
    for component in facts.components:
        package = next(entry for entry in first["packages"] if _told(entry, component.ref, component.name))
        entry = next(entry for entry in second["components"] if entry["bom-ref"] == component.ref)
        assert package.get("versionInfo", "") == entry.get("version", "") == component.version
        assert [sum_["checksumValue"] for sum_ in package.get("checksums", [])] == [
            hash_["content"] for hash_ in entry.get("hashes", [])
        ]
    assert len(first["packages"]) == len(facts.components) + 2  # the image and its operating system
    assert len(second["components"]) == len(facts.components) + 1
    assert one(first["packages"], "zlib1g")["checksums"] == [{"algorithm": "SHA256", "checksumValue": DEB}]


def test_a_model_is_a_machine_learning_model(facts):
    first, second = written(facts)
    model = one(second["components"], "forest")
    assert model["type"] == "machine-learning-model"
    assert model["hashes"] == [{"alg": "SHA-256", "content": SHA256}]
    assert {"name": "mlship:framework", "value": "sklearn"} in model["properties"]
    assert {"name": "mlship:size", "value": "8"} in model["properties"]
    assert one(first["packages"], "forest")["comment"] == "model; format joblib; framework sklearn; 8 bytes"


def test_the_image_contains_everything_and_wheels_depend_on_each_other(facts):
    first, second = written(facts)
    ids = {package["SPDXID"] for package in first["packages"]}
    said = {(r["spdxElementId"], r["relationshipType"], r["relatedSpdxElement"]) for r in first["relationships"]}
    assert {other for _, kind, other in said if kind == "CONTAINS"} == ids - {"SPDXRef-Image"}
    assert ("SPDXRef-DOCUMENT", "DESCRIBES", "SPDXRef-Image") in said
    by_name = {package["name"]: package["SPDXID"] for package in first["packages"]}
    assert (by_name["scikit-learn"], "DEPENDS_ON", by_name["numpy"]) in said
    edges = {entry["ref"]: entry.get("dependsOn", []) for entry in second["dependencies"]}
    refs = {entry["bom-ref"] for entry in second["components"]}
    assert set(edges) == refs | {facts.content}
    assert set(edges[facts.content]) == refs
    assert edges["pkg:pypi/scikit-learn@1.9.1"] == ["pkg:pypi/joblib@1.6", "pkg:pypi/numpy@2.4.6"]


def test_licences_are_declared_or_not_asserted_and_never_concluded(facts):
    first, second = written(facts)
    assert {package["licenseConcluded"] for package in first["packages"]} == {"NOASSERTION"}
    assert one(first["packages"], "zlib1g")["licenseDeclared"] == "(GPL-2.0-or-later OR MIT) AND Zlib"
    assert one(first["packages"], "libc6")["licenseDeclared"] == "NOASSERTION"
    assert one(first["packages"], "numpy")["licenseComments"] == "declared in words: BSD"
    names = {name: one(second["components"], name)["licenses"][0] for name in ("zlib1g", "libc6", "numpy", "scikit-learn")}
    assert names["zlib1g"]["expression"] == "(GPL-2.0-or-later OR MIT) AND Zlib"
    assert names["libc6"]["license"]["name"] == "NOASSERTION"
    assert names["numpy"]["license"]["name"] == "BSD"
    assert names["scikit-learn"]["license"]["id"] == "BSD-3-Clause"


def test_the_text_of_a_licence_that_spdx_has_no_name_for_is_in_the_document(facts):
    first, _ = written(facts)
    (text,) = first["hasExtractedLicensingInfos"]
    assert text["extractedText"] == "do what you like\n\nbut ask"
    assert one(first["packages"], "libgcc-s1")["licenseDeclared"] == text["licenseId"]
    without = replace(facts, components=tuple(replace(c, licence=Licence()) for c in facts.components))
    assert "hasExtractedLicensingInfos" not in json.loads(spdx.spdx(without, STAMP))


def test_what_is_unknown_of_a_foreign_base_is_said(tmp_path):
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    layout, image = layout_with(tmp_path / "images")
    on_image = replace(image, annotations={BASE_NAME: "r.example.test/python:3.11", BASE_DIGEST: f"sha256:{SHA256}"})
    packages, parts = written(read_facts(layout, on_image))
    unknown = f"of the base r.example.test/python:3.11@sha256:{SHA256}, what was installed without dpkg is unknown"
    assert packages["packages"][0]["comment"].endswith(f"; {unknown}")
    assert {"name": "mlship:unknown", "value": unknown} in parts["metadata"]["component"]["properties"]
    assert parts["compositions"] == [{"aggregate": "incomplete", "assemblies": [image.content]}]
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(parts)) is None


def test_identifiers_are_unique_where_names_differ_only_in_signs(facts):
    some = facts.components[0]
    twins = replace(facts, components=(replace(some, ref="a+b", name="a+b"), replace(some, ref="a-b", name="a-b")))
    packages = json.loads(spdx.spdx(twins, STAMP))["packages"]
    ids = [package["SPDXID"] for package in packages]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"SPDXRef-[A-Za-z0-9.-]+", ref) for ref in ids)


def test_the_same_image_has_the_same_papers_at_any_time_and_in_any_store(tmp_path, facts):
    again = read_facts(*layout_with(tmp_path / "elsewhere"))
    assert documents(again, STAMP) == documents(facts, STAMP)
    other = replace(facts, content="sha256:" + "0" * 64)
    assert cyclonedx.serial(other) != cyclonedx.serial(facts)


def test_a_time_is_said_only_where_source_date_epoch_says_one(facts):
    dated = stamp("0.1.0", {"SOURCE_DATE_EPOCH": "1800000000"})
    assert dated.created == "2027-01-15T08:00:00Z"
    assert json.loads(cyclonedx.cyclonedx(facts, dated))["metadata"]["timestamp"] == dated.created
    first, second = written(facts)
    assert "timestamp" not in second["metadata"]
    assert first["creationInfo"]["created"] == "1970-01-01T00:00:00Z"
    for wrong in ("yesterday", "9" * 30):
        with pytest.raises(MlshipError, match=f"SOURCE_DATE_EPOCH is '{wrong}'"):
            stamp("0.1.0", {"SOURCE_DATE_EPOCH": wrong})


@pytest.mark.parametrize(
    ("maintainer", "supplier"),
    [
        ("Debian (GCC) Maintainers <gcc@lists.debian.org>", "Organization: Debian GCC Maintainers (gcc@lists.debian.org)"),
        ("<x@y>", "Organization: x@y (x@y)"),
        ("Nobody", "Organization: Nobody"),
    ],
)
def test_a_maintainer_is_a_supplier(facts, maintainer, supplier):
    changed = replace(facts, components=(replace(facts.components[-1], supplier=maintainer, needs=()),))
    assert json.loads(spdx.spdx(changed, STAMP))["packages"][-1]["supplier"] == supplier


def test_papers_are_attached_to_the_image_and_written_as_files(tmp_path):
    layout, image = layout_with(tmp_path / "images")
    papers = attach_papers(layout, image, STAMP)
    assert [(paper.title, paper.media_type) for paper in papers] == [
        ("churn.spdx.json", "application/spdx+json"),
        ("churn.cdx.json", "application/vnd.cyclonedx+json"),
    ]
    assert [path.read_bytes() for path in write_papers(papers, tmp_path / "new" / "sbom")] == [p.content for p in papers]
    referrers = attached(layout, image.manifest)
    assert [referrer.artifact_type for referrer in referrers] == [paper.media_type for paper in papers]
    manifest = layout.read_json(referrers[0].manifest.digest)
    assert manifest["subject"]["digest"] == image.manifest.digest
    assert layout.path(manifest["layers"][0]["digest"]).read_bytes() == papers[0].content
    assert attach_papers(layout, image, STAMP) == papers
    assert attached(layout, image.manifest) == referrers


def _told(package: dict[str, Any], ref: str, name: str) -> bool:
    purls = [entry["referenceLocator"] for entry in package.get("externalRefs", [])]
    return ref in purls or (not purls and package["name"] == name and package["SPDXID"] != "SPDXRef-Image")
