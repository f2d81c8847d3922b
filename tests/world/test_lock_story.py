"""mlship.lock on real parts: written without an image, held to, refreshed; and a base that no mirror has any more."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from urllib.error import HTTPError

import pytest
from registry_parts import real_registry
from small_server import BYTES, PAGE, Answer, answering
from story import PRELUDE, Story
from test_story_formats import SAVED, TRAIN

pytestmark = pytest.mark.world


@pytest.fixture
def shop(story: Story) -> Story:
    """A trained project."""
    story.write("train.py", PRELUDE + TRAIN.format(save=SAVED["model.pkl"]))
    story.train()
    story.mlship("init", "--model", "model.pkl", "--target", "local")
    return story


def locked(shop: Story) -> dict:
    return json.loads((shop.folder / "mlship.lock").read_text())


def test_a_lock_is_written_held_to_and_refreshed(shop: Story) -> None:
    first = shop.mlship("lock")
    assert first["written"] and first["because"] == ["there is no mlship.lock"]
    bytes_of = (shop.folder / "mlship.lock").read_bytes()
    (entry,) = locked(shop)["locks"]
    assert {"httptools", "orjson", "uvloop"} <= {wheel["name"] for wheel in entry["server"]}
    assert all(len(wheel["sha256"]) == 64 for wheel in (*entry["server"], *entry["wheels"]))
    assert entry["base"]["diff_ids"] and entry["compressor"] and entry["asked"]["requirements"]
    assert str(shop.folder) not in bytes_of.decode()

    again = shop.mlship("lock")
    assert (again["written"], again["changed"]) == (False, False)
    built = shop.mlship("build", "--locked", "--sbom", "sbom")
    assert (shop.folder / "mlship.lock").read_bytes() == bytes_of
    papers = json.loads(next((shop.folder / "sbom").glob("*.cdx.json")).read_text())
    assert [part["hashes"] for part in papers["components"] if part["name"] == "uvloop"]

    shop.train(2)
    said = shop.refused("build", "--locked", exit=5)
    assert "the model" in said and "(model.pkl) is" in said and "--retrained" in said
    newer = shop.mlship("build", "--locked", "--retrained")
    assert newer["image"]["content"] != built["image"]["content"]
    assert (shop.folder / "mlship.lock").read_bytes() == bytes_of

    file = shop.folder / "mlship.yaml"
    file.write_text(f"{file.read_text()}\nbuild: {{packages: [libgomp1]}}\n")
    said = shop.refused("build", "--locked", "--retrained", exit=5)
    assert "build.packages has libgomp1, which is not locked" in said
    assert shop.mlship("lock", "--check", exit=3)["changed"]
    assert (shop.folder / "mlship.lock").read_bytes() == bytes_of
    changed = shop.mlship("lock")
    assert changed["because"] == ["build.packages has libgomp1, which is not locked"]
    assert {"libgomp1"} == {change["name"] for change in changed["changes"]} and len(changed["models"]) == 1
    assert shop.mlship("lock", "--refresh", "--dry-run")["changes"] == []


def test_an_old_lock_is_warned_of_and_used(shop: Story) -> None:
    made = replace(shop, environ={**shop.environ, "SOURCE_DATE_EPOCH": "1700000000"})
    assert made.mlship("lock")["made"] == "2023-11-14"
    warned = shop.mlship("build", "--locked")["findings"]
    assert [finding["fix"][:21] for finding in warned if finding["code"] == "old-lock"] == ["mlship lock --refresh"]
    assert [one for one in made.mlship("build", "--locked")["findings"] if one["code"] == "old-lock"] == []
    refreshed = shop.mlship("lock", "--refresh")
    assert refreshed["written"] and refreshed["made"] > "2026" and not refreshed["changes"]


@contextmanager
def mirror_without(*names: str) -> Iterator[str]:
    """A proxy in front of the machine's archives, which have deleted these packages."""

    def answer(path: str, _: object) -> Answer:
        if any(f"/{name}_" in path for name in names):
            return 404, b"", PAGE
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(path, timeout=60) as found:
                return 200, found.read(), BYTES
        except HTTPError as error:
            return error.code, b"", PAGE

    with answering(answer) as address:
        yield f"http://{address}"


def test_a_base_that_no_mirror_has_any_more_comes_from_a_registry(shop: Story, tmp_path: Path) -> None:
    with real_registry(tmp_path / "registry") as port, mirror_without("libc6", "tzdata") as mirror:
        repository = f"127.0.0.1:{port}/ml/shop"
        first = shop.mlship("build", "--push", f"{repository}:1")
        if not all(package["url"].startswith("http:") for package in locked(shop)["locks"][0]["system"]):
            pytest.skip("this machine's archive is not reached over plain HTTP, which the story's mirror stands in front of")
        fresh = {**shop.environ, "http_proxy": mirror, "no_proxy": "127.0.0.1"}
        lonely = replace(shop, environ={**fresh, "MLSHIP_HOME": str(tmp_path / "lonely")})
        said = lonely.refused("build", "--locked", exit=5)
        assert "the archive no longer has" in said and "mlship lock --refresh" in said

        other = replace(shop, environ={**fresh, "MLSHIP_HOME": str(tmp_path / "other")})
        second = other.mlship("build", "--locked", "--push", f"{repository}:2")
        assert second["image"]["content"] == first["image"]["content"]
        base = [layer["digest"] for layer in second["image"]["layers"] if layer["role"] == "base"]
        assert base == [layer["digest"] for layer in first["image"]["layers"] if layer["role"] == "base"]
