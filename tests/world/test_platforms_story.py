"""Two platforms from one lock, on a machine that runs one of them: each file is for its processor, and what is equal is one blob."""

from __future__ import annotations

import gzip
import io
import json
import platform
import shutil
import struct
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from registry_parts import real_registry
from story import PRELUDE, Story
from test_story_class import NET
from test_story_class import TRAIN as CLASS_TRAIN
from test_story_class import YAML as CLASS_YAML

pytestmark = pytest.mark.world

HERE, OTHER = ("linux/amd64", "linux/arm64") if platform.machine() == "x86_64" else ("linux/arm64", "linux/amd64")
MACHINES = {"linux/amd64": 62, "linux/arm64": 183}  # EM_X86_64, EM_AARCH64 (System V ABI, ELF header)
BOTH = "build: {platforms: [linux/amd64, linux/arm64]}\n"
TRAIN = """\
import pickle
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
X, y = load_iris(return_X_y=True)
model = LogisticRegression(max_iter=200 * VERSION).fit(X, y)
pickle.dump(model, open("model.pkl", "wb"))
json.dump({"instances": X[:3].tolist()}, open("sample.json", "w"))
asked(X[:3], model.predict(X[:3]), model.predict_proba(X[:3]))
"""
YAML = """\
name: {name}
target: docker
model: {{uri: model.pkl, sample: sample.json, engine: original}}
targets: {{docker: {{port: {port}}}}}
"""


@pytest.mark.engine
def test_a_model_is_built_for_two_platforms_and_each_place_gets_its_own(story: Story, tmp_path: Path) -> None:
    name = f"both-{free_port()}"
    story.write("train.py", PRELUDE + TRAIN)
    story.write("mlship.yaml", YAML.format(name=name, port=free_port()) + BOTH)
    truth = story.train()
    assert "more than one" not in story.refused("build", "--builder", "docker")

    built = story.mlship("build", "--sbom", "papers")
    [native, foreign] = built["images"]
    assert (native["platform"], foreign["platform"]) == (HERE, OTHER)
    assert [line for line in native["checks"] if "sample 3/3 equal" in line] and not native["to_run_at_deploy"]
    assert not foreign["checks"]
    assert built["to_run_at_deploy"] == [
        f"{OTHER}: {name} loads, with all modules and shared libraries that it imports",
        f"{OTHER}: {name} answers its sample of 3 as on {HERE} (rtol 1e-06)",
    ]
    locks = json.loads((story.folder / "mlship.lock").read_bytes())["locks"]
    assert sorted(lock["platform"] for lock in locks) == sorted(MACHINES)
    _is_for_its_processor(story, built)
    _shares_what_is_equal(story, built)
    assert sorted(path.name for path in (story.folder / "papers").iterdir()) == sorted(
        f"{name}-{told.replace('/', '-')}.{kind}.json" for told in MACHINES for kind in ("spdx", "cdx")
    )
    _one_index_names_both(story, built, tmp_path)

    again = story.mlship("build")
    assert again["unchanged"] and again["images"][1]["content"] == foreign["content"]
    try:
        deployed = story.mlship("deploy", "--image", foreign["content"], "--yes")  # this engine runs its sibling
        assert deployed["release"]["content"] == native["content"] and deployed["verify"]["predictions"] == 3
        story.ask_all(deployed["endpoint"], truth)
        assert story.mlship("deploy", "--yes")["unchanged"] is True
    finally:
        story.mlship("destroy", "--yes")


def test_another_machine_makes_the_same_images(story: Story, tmp_path: Path) -> None:
    first = _class_story(story, BOTH).mlship("build")
    folder = tmp_path / "elsewhere" / "other name"
    shutil.copytree(story.folder, folder)
    settings = {"MLSHIP_HOME": str(tmp_path / "home"), "TZ": "Pacific/Kiritimati", "PYTHONHASHSEED": "12345"}
    second = replace(story, folder=folder, environ={**story.environ, **settings}).mlship("build")
    for one, other in zip(first["images"], second["images"], strict=True):
        assert (one["platform"], one["content"], one["digest"]) == (other["platform"], other["content"], other["digest"])


def test_a_platform_that_does_not_run_here_is_built_alone_and_deployed_elsewhere(story: Story) -> None:
    only = _class_story(story, f"build: {{platforms: [{OTHER}]}}\n")
    built = only.mlship("build")
    assert [image["platform"] for image in built["images"]] == [OTHER] and not built["checks"]
    assert len(built["to_run_at_deploy"]) == 1  # it has no sample
    fix = "platforms: [linux/amd64, linux/arm64]"
    assert fix in only.refused("deploy", "--target", "local", "--yes")
    assert fix in only.refused("run")
    said = only.refused("deploy", "--target", "local", "--image", built["image"]["content"], "--yes")
    assert f"the image is for {OTHER}" in said


def test_a_broken_model_fails_before_anything_is_made_for_the_other_platform(story: Story) -> None:
    broken = _class_story(story, BOTH)
    story.write("net.py", NET.format(inputs="container = 'list'").replace("def load", "def loads"))
    before = _foreign_images(story)
    assert "load" in broken.refused("build", exit=5)
    assert _foreign_images(story) == before


def _class_story(story: Story, build: str) -> Story:
    story.write("net.py", NET.format(inputs="container = 'list'"))
    story.write("train.py", PRELUDE + CLASS_TRAIN)
    story.write("mlship.yaml", CLASS_YAML + build)
    story.train()
    return story


def _images(story: Story) -> Path:
    return Path(story.environ["MLSHIP_HOME"]) / "images"


def _foreign_images(story: Story) -> list[str]:
    entries = json.loads((_images(story) / "index.json").read_bytes())["manifests"]
    platforms = {entry["digest"]: entry.get("platform", {}).get("architecture") for entry in entries}
    return sorted(digest for digest, architecture in platforms.items() if architecture == OTHER.partition("/")[2])


def _blob(story: Story, digest: str) -> bytes:
    return (_images(story) / "blobs" / "sha256" / digest.removeprefix("sha256:")).read_bytes()


def _members(story: Story, image: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Every ordinary file of an image, from its own manifest."""
    for layer in json.loads(_blob(story, image["digest"]))["layers"]:
        raw = _blob(story, layer["digest"])
        content = gzip.decompress(raw) if layer["mediaType"].endswith("gzip") else raw
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None:
                    yield member.name, file.read()


def _is_for_its_processor(story: Story, built: dict[str, Any]) -> None:
    """Each program and library is; each compiled Python file is the same bytes where its source is the same."""
    seen: dict[str, dict[str, bytes]] = {}
    for image in built["images"]:
        files = seen[image["platform"]] = dict(_members(story, image))
        elves = {name: content for name, content in files.items() if content.startswith(b"\x7fELF")}
        assert len(elves) > 150 and any("sklearn" in name for name in elves)
        wrong = [name for name, raw in elves.items() if struct.unpack_from("<H", raw, 18)[0] != MACHINES[image["platform"]]]
        assert wrong == []
    here, other = seen[HERE], seen[OTHER]
    sources = {_source(name): name for name in here if name.endswith(".pyc")}
    equal = [name for name in sources if here.get(name) == other.get(name)]
    assert len(equal) > 1000 and any(name.startswith("usr/lib/python3") for name in equal)
    assert [name for name in equal if here[sources[name]] != other.get(sources[name])] == []


def _source(compiled: str) -> str:
    folder, _, name = compiled.partition("/__pycache__/")
    return f"{folder}/{name.partition('.')[0]}.py"


def _shares_what_is_equal(story: Story, built: dict[str, Any]) -> None:
    native, foreign = (
        {(layer["role"], layer["name"]): layer["digest"] for layer in image["layers"]} for image in built["images"]
    )
    shared = {key for key, digest in native.items() if foreign.get(key) == digest}
    assert {role for role, _ in shared} == {"packages", "model", "configuration"}
    assert ("packages", "pure Python") in shared and ("packages", "numpy") not in shared


def _one_index_names_both(story: Story, built: dict[str, Any], folder: Path) -> None:
    """In the layout on disk, and in a registry, where an equal blob lies once."""
    named = [
        entry
        for entry in json.loads((_images(story) / "index.json").read_bytes())["manifests"]
        if entry["mediaType"].endswith("image.index.v1+json")
        and entry["annotations"]["org.opencontainers.image.ref.name"].startswith(built["project"])
    ]
    [index] = [json.loads(_blob(story, entry["digest"])) for entry in named]
    wanted = {image["platform"]: image["digest"] for image in built["images"]}
    assert _platforms(index) == wanted
    if shutil.which("skopeo") is None:
        pytest.skip("no skopeo: apt-get install skopeo")
    with real_registry(folder / "registry") as port:
        reference = f"127.0.0.1:{port}/shop/both:1"
        [pushed] = story.mlship("build", "--push", reference)["pushed"]
        command = ["skopeo", "inspect", "--raw", "--tls-verify=false", f"docker://{reference}"]
        there = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        assert set(_platforms(there)) == set(wanted)
        for told in MACHINES:
            pull = [
                "skopeo",
                "inspect",
                "--tls-verify=false",
                "--override-arch",
                told.partition("/")[2],
                f"docker://{reference}",
            ]
            assert json.loads(subprocess.run(pull, check=True, capture_output=True).stdout)["Architecture"] in told
    digests = [layer["digest"] for image in built["images"] for layer in image["layers"]]
    assert pushed["sent"] <= len(set(digests)) + 2 < len(digests) + 2  # two configurations besides


def _platforms(index: dict[str, Any]) -> dict[str, str]:
    told = {f"{entry['platform']['os']}/{entry['platform']['architecture']}": entry["digest"] for entry in index["manifests"]}
    return {name: digest for name, digest in told.items() if name in MACHINES}
