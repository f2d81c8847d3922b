"""The papers of an example as it is really built: all that was locked, all that is installed, and nothing else."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document
from story import Story

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "numeric"

pytestmark = pytest.mark.world


def test_the_papers_say_what_is_in_the_image_and_nothing_else(story: Story) -> None:
    shutil.copytree(EXAMPLE, story.folder, dirs_exist_ok=True)
    subprocess.run([story.python, "train.py"], cwd=story.folder, check=True)
    built = story.mlship("build", "--sbom", "sbom")
    first, second = story.folder / "sbom/numeric.spdx.json", story.folder / "sbom/numeric.cdx.json"
    assert built["papers"] == [str(first), str(second)]
    spdx, cyclonedx = json.loads(first.read_bytes()), json.loads(second.read_bytes())

    assert not list(JsonStrictValidator(SchemaVersion.V1_6).validate_str(second.read_text(), all_errors=True) or ())
    assert not [message.validation_message for message in validate_full_spdx_document(parse_file(str(first)))]

    (lock,) = json.loads((story.folder / "mlship.lock").read_bytes())["locks"]
    _names_everything_that_was_locked(lock, spdx, cyclonedx)
    _names_what_scanners_find(story, built, spdx, cyclonedx)

    (model,) = [entry for entry in cyclonedx["components"] if entry["type"] == "machine-learning-model"]
    digest = hashlib.sha256((story.folder / "model.joblib").read_bytes()).hexdigest()
    assert {"name": "mlship:compiled from sha256", "value": digest} in model["properties"]
    compiled = Path(story.environ["MLSHIP_HOME"]) / "cache" / "compiled" / f"{model['hashes'][0]['content']}.plan"
    assert model["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(compiled.read_bytes()).hexdigest()}]

    again = story.mlship("build", "--sbom", "again")
    assert again["unchanged"] is True
    for path in (first, second):
        assert (story.folder / "again" / path.name).read_bytes() == path.read_bytes()
    _lie_beside_the_image(story, built, (first, second))


def _names_everything_that_was_locked(lock: dict[str, Any], spdx: dict[str, Any], cyclonedx: dict[str, Any]) -> None:
    for package in [*lock["system"], *lock["wheels"]]:
        entry = next(one for one in spdx["packages"] if _is(one, package))
        assert entry["checksums"] == [{"algorithm": "SHA256", "checksumValue": package["sha256"]}], package
        entry = next(one for one in cyclonedx["components"] if _is(one, package))
        assert entry["hashes"] == [{"alg": "SHA-256", "content": package["sha256"]}], package


def _is(entry: dict[str, Any], package: dict[str, Any]) -> bool:
    return (entry["name"], entry.get("versionInfo") or entry.get("version")) == (package["name"], package["version"])


def _names_what_scanners_find(story: Story, built: dict[str, Any], spdx: dict[str, Any], cyclonedx: dict[str, Any]) -> None:
    """Scanners read status.d and the names of .dist-info folders; here by file name alone, another way than the papers'."""
    names = list(_names_in(story, built["image"]["content"]))
    status = {name.removeprefix("var/lib/dpkg/status.d/") for name in names if name.startswith("var/lib/dpkg/status.d/")}
    debs = {name for name in status if not name.endswith(".md5sums")}
    assert {f"{name}.md5sums" for name in debs} == status - debs
    folders = {name.split("/")[-2] for name in names if name.endswith(".dist-info/METADATA")}
    wheels = {tuple(folder.removesuffix(".dist-info").lower().replace("_", "-").rsplit("-", 1)) for folder in folders}
    purls = [PackageURL.from_string(entry["purl"]) for entry in cyclonedx["components"] if "purl" in entry]
    assert {purl.name for purl in purls if purl.type == "deb"} == debs
    assert {(purl.name, purl.version) for purl in purls if purl.type == "pypi" and purl.name != "mlship"} == wheels
    assert {"httptools", "orjson", "uvloop", "prometheus-client"} <= {name for name, _ in wheels}  # the server's own
    told = [entry["externalRefs"][0]["referenceLocator"] for entry in spdx["packages"] if "externalRefs" in entry]
    assert sorted(told) == sorted(purl.to_string() for purl in purls)


def _names_in(story: Story, content: str) -> Iterator[str]:
    """The paths of all files in the image, read with no code of mlship's."""
    images = Path(story.environ["MLSHIP_HOME"]) / "images"
    entries = json.loads((images / "index.json").read_bytes())["manifests"]
    entry = next(entry for entry in entries if entry.get("annotations", {}).get("mlship.content") == content)
    for layer in json.loads(_blob(images, entry["digest"]).read_bytes())["layers"]:
        with gzip.open(_blob(images, layer["digest"])) as plain, tarfile.open(fileobj=plain, mode="r|") as archive:
            yield from (member.name for member in archive if member.isfile())


def _lie_beside_the_image(story: Story, built: dict[str, Any], papers: tuple[Path, ...]) -> None:
    """As OCI referrers, under the fallback tag's name."""
    images = Path(story.environ["MLSHIP_HOME"]) / "images"
    digest = built["image"]["digest"]
    entries = json.loads((images / "index.json").read_bytes())["manifests"]
    name = digest.replace(":", "-")
    (entry,) = [one for one in entries if one["annotations"].get("org.opencontainers.image.ref.name") == name]
    referrers = json.loads(_blob(images, entry["digest"]).read_bytes())["manifests"]
    assert [one["artifactType"] for one in referrers] == ["application/spdx+json", "application/vnd.cyclonedx+json"]
    for referrer, paper in zip(referrers, papers, strict=True):
        manifest = json.loads(_blob(images, referrer["digest"]).read_bytes())
        assert manifest["subject"]["digest"] == digest
        assert _blob(images, manifest["layers"][0]["digest"]).read_bytes() == paper.read_bytes()


def _blob(images: Path, digest: str) -> Path:
    return images / "blobs" / "sha256" / digest.removeprefix("sha256:")
