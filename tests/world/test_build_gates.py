"""What a build refuses, tells and leaves out: its size, secrets, what it wrote itself. Through the command, on a model of nothing."""

from __future__ import annotations

import json
import os
import platform
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from story import Story

from mlship.oci.layout import Layout

pytestmark = pytest.mark.world

CODE = """\
class Scaled:
    container = "list"

    def load(self, path):
        self.scale = float((path / "scale.txt").read_text())

    def predict(self, rows):
        return [sum(row) * self.scale for row in rows]
"""
YAML = """\
name: {name}
target: local
model:
  uri: shop/weights
  framework: python
  loader: shop.model:Scaled
  code: [shop/]
build: {build}
"""
SECRET = "ghp_" + "Aq7Lw2Zt9Rb4Nc6Vx1Ky8Md3Hs5Jf0PgTuWe"


@pytest.fixture
def project(bare_environment: Path, story_home: Path, tmp_path: Path) -> Story:
    folder = tmp_path / "project"
    environ = {**os.environ, "VIRTUAL_ENV": str(bare_environment), "MLSHIP_HOME": str(story_home)}
    made = Story(folder, bare_environment / "bin" / "python", environ)
    made.write("shop/__init__.py", "")
    made.write("shop/model.py", CODE)
    made.write("shop/weights/scale.txt", "2.0")
    made.write("shop/weights/notes.txt", "of the shop")
    return made


def configure(project: Story, build: dict[str, Any], name: str = "scaled") -> None:
    project.write("mlship.yaml", YAML.format(name=name, build=json.dumps(build)))


def test_an_image_that_is_too_large_is_no_image(project: Story) -> None:
    configure(project, {"max_size": "10MB"}, "toolarge")
    said = project.refused("build", exit=5)
    assert "compressed), and build.max_size is 10MB" in said and "mlship.yaml:8:" in said
    assert "the largest in it:" in said and "libpython3.11-stdlib" in said and "or set max_size: " in said
    assert Layout(Path(project.environ["MLSHIP_HOME"]) / "images").images("toolarge") == []
    assert "there is no image" in project.refused("deploy", "--image", "toolarge", "--yes", exit=2)

    configure(project, {"max_size": "400MB"}, "toolarge")
    image = project.mlship("build")["image"]
    assert sum(part["size"] for part in image["parts"]) == image["size"]
    assert image["parts"][0]["name"] == "numpy" and "libc6" in {
        part["name"] for part in image["parts"] if part["kind"] == "system"
    }

    configure(project, {"max_size": "10MB"}, "toolarge")  # the image is there and unchanged: it is refused all the same
    assert "build.max_size is 10MB" in project.refused("build", exit=5)
    assert "build.max_size is 10MB" in project.refused("deploy", "--yes", exit=5)
    configure(project, {}, "toolarge")
    again = project.mlship("build")
    assert (again["unchanged"], again["image"]["content"]) == (True, image["content"])


def test_no_image_is_new_where_only_the_second_platform_is_too_large(project: Story) -> None:
    other = {"x86_64": "aarch64", "aarch64": "x86_64"}[platform.machine()]
    project = replace(project, environ={**project.environ, "UV_INDEX_STRATEGY": "unsafe-best-match"})  # the newest of all
    project.write("requirements.txt", f"numpy\npandas; platform_machine == '{other}'\n")
    both = {"platforms": ["linux/amd64", "linux/arm64"], "requirements": "requirements.txt", "max_size": "110MB"}
    configure(project, {**both, "python": f"3.{sys.version_info.minor}"}, "secondlarge")
    arm = "arm64" if other == "aarch64" else "amd64"
    assert f"the image for linux/{arm} has " in project.refused("build", exit=5)
    assert Layout(Path(project.environ["MLSHIP_HOME"]) / "images").images("secondlarge") == []


def test_a_build_says_why_each_layer_was_made_again(project: Story, story_home: Path) -> None:
    configure(project, {}, "explained")
    first = project.mlship("build", "--explain")["explained"][0]
    assert first["before"] == "" and {why["verdict"] for why in first["whys"]} <= {"made", "cached"}
    same = project.mlship("build", "--explain")
    assert same["unchanged"] and same["explained"][0]["whys"] == []

    project.write("shop/weights/scale.txt", "3.0")
    (told,) = project.mlship("build", "--explain")["explained"]
    assert told["before"] == same["image"]["content"]
    whys = {why["layer"]: (why["verdict"], why["reasons"]) for why in told["whys"]}
    assert whys["model explained"] == ("made", ["scale.txt has other content"])
    assert whys["configuration manifest"] == ("made", ["models.explained.sha256 has other content"])
    (kept,) = [layers for layers, (verdict, _) in whys.items() if verdict == "kept"]
    assert {"base", "server", "code"} <= {layer.split()[0] for layer in kept.split(", ")}

    # the process that proves the next model begins with what this one needed: with one module more, by which it is known
    (file,) = [path for path in (story_home / "cache/memo").glob("primed-*") if str(project.folder) in path.read_text()]
    file.write_text(file.read_text().replace('"modules": [', '"modules": ["colorsys", '))
    project.write("shop/weights/scale.txt", "4.0")
    assert project.mlship("build")["models"] and "colorsys" in json.loads(file.read_text())["modules"]

    project.write("shop/weights/scale.txt", "2.0")  # back to what was: nothing is made, and it says against what
    back = project.mlship("build", "--explain")
    assert back["unchanged"] and {why["verdict"] for why in back["explained"][0]["whys"]} == {"cached", "kept"}


def test_a_secret_on_its_way_into_an_image_is_refused_before_anything_is_made(project: Story) -> None:
    configure(project, {}, "secretive")
    project.write("shop/settings.py", f"# for the shop's index\nTOKEN = '{SECRET}'\n")
    project.write("shop/.env", f"TOKEN={SECRET}\n")  # hidden files are never taken
    for command in ("check", "build"):
        said = project.refused(command)
        assert "shop/settings.py:2" in said and "a GitHub token would go into the image" in said
        assert 'allow_secrets: {"shop/settings.py": "WHY"}' in said
        assert SECRET[4:20] not in said
    assert not (project.folder / "mlship.lock").exists()

    configure(project, {"allow_secrets": {"shop/settings.py": "revoked in May", "shop/gone.py": "moved"}}, "secretive")
    told = project.mlship("build")
    codes = {finding["code"]: finding["message"] for finding in told["findings"]}
    assert codes["allowed-secret"] == "shop/settings.py:2 holds a GitHub token, allowed: revoked in May"
    assert "nothing-allowed" in codes and SECRET not in json.dumps(told)
    again = project.mlship("build")  # the reason stays visible
    assert again["unchanged"] and "allowed-secret" in {finding["code"] for finding in again["findings"]}
    home = Path(project.environ["MLSHIP_HOME"])
    assert not [path for path in (home / "memo").rglob("*") if path.is_file() and SECRET in path.read_text()]


def test_three_builds_with_everything_inside_give_one_content(project: Story) -> None:
    configure(project, {}, "inside")
    first = project.mlship("build")["image"]
    home = project.folder / "shop" / "home"
    shutil.copytree(project.environ["MLSHIP_HOME"], home, copy_function=os.link, symlinks=True)
    inside = replace(project, environ={**project.environ, "MLSHIP_HOME": str(home)})
    for outputs in (("--sbom", "shop/papers"), ("--sbom", "shop/weights"), ()):
        image = inside.mlship("build", *outputs)["image"]
        assert (image["content"], image["size"]) == (first["content"], first["size"])
    assert (project.folder / "shop/papers/inside.spdx.json").is_file() and (
        project.folder / "shop/weights/inside.cdx.json"
    ).is_file()
    (project.folder / "shop/again").symlink_to(".")
    assert "shop/again is a link to what is no file" in inside.refused("build")


def test_what_comes_later_is_refused_with_words(project: Story) -> None:
    configure(project, {"sign": True, "provenance": True}, "later")
    said = project.refused("build")
    assert "build.sign" in said and "build.provenance" in said and said.count("not yet built") == 2
    for option in ("--sign", "--provenance"):
        assert "not yet built" in project.refused("build", option)
    configure(project, {"python": "3.14"}, "later")
    told = project.refused("build")
    assert "Python 3.14 is in no suite" in told and "3.11 (bookworm), 3.13 (trixie)" in told
