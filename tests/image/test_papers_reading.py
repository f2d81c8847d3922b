"""What an image holds is read from its layers: everything that is installed, and nothing else."""

from __future__ import annotations

import hashlib
import tracemalloc
from pathlib import Path

import pytest
from papers_image import BASE, DEB, MODEL, SHA256, layout_with, manifest

from mlship.errors import MlshipError
from mlship.image.lock import Lock
from mlship.image.papers.facts import Component, Facts, OperatingSystem
from mlship.image.papers.reading import Sums, read_facts, sums_of
from mlship.image.plan import CODE, MODELS, PACKAGES, SERVER, SystemPackage, Wheel
from mlship.server.manifest import Engine, Model


def facts(folder: Path, *more, sums: Sums | None = None, **image) -> Facts:
    return read_facts(*layout_with(folder, *more, **image), sums)


def named(found: Facts, name: str) -> Component:
    (component,) = [component for component in found.components if component.name == name]
    return component


def test_everything_that_is_installed_is_found_and_nothing_else(tmp_path):
    found = facts(tmp_path)
    assert found.system == OperatingSystem("debian", "12", "Debian GNU/Linux 12 (bookworm)")
    assert [(one.kind, one.name, one.version) for one in found.components] == [
        ("code", "churn", ""),
        ("model", "forest", ""),
        ("python", "joblib", "1.6"),
        ("python", "lz4", "4.0"),
        ("python", "numpy", "2.4.6"),
        ("python", "orjson", "3.13.0"),
        ("python", "scikit-learn", "1.9.1"),
        ("python", "tomli", "2.0"),
        ("python", "uvloop", "0.23.0"),
        ("server", "mlship", "0.1.0"),
        ("system", "libc6", "2.36-9+deb12u14"),
        ("system", "libgcc-s1", "12.2.0-14+b1"),
        ("system", "zlib1g", "1:1.2.13.dfsg-1"),
    ]


def test_packages_of_the_system_have_purls_that_advisories_can_be_matched_with(tmp_path):
    found = facts(tmp_path)
    assert named(found, "zlib1g").purl == "pkg:deb/debian/zlib1g@1:1.2.13.dfsg-1?arch=amd64&distro=debian-12&upstream=zlib"
    assert named(found, "libgcc-s1").purl.endswith("upstream=gcc-12%4012.2.0-14")
    assert "@2.36-9%2Bdeb12u14?" in named(found, "libc6").purl


def test_the_hash_of_a_deb_is_in_the_image_and_that_of_a_wheel_in_the_lock(tmp_path):
    wheels = (Wheel("scikit-learn", "1.9.1", "a" * 64), Wheel("numpy", "1.0", "b" * 64))
    system = (
        SystemPackage("libc6", "2.36-9+deb12u14", "e" * 64, 1, ""),
        SystemPackage("zlib1g", "1:1.2.13.dfsg-1", "f" * 64, 1, ""),
    )
    server = (Wheel("uvloop", "0.23.0", "c" * 64),)
    lock = Lock("3.11", "linux/amd64", "bookworm", system, wheels, "", server=server)
    found = facts(tmp_path, sums=sums_of(lock))
    assert named(found, "zlib1g").sha256 == DEB
    assert named(found, "libc6").sha256 == "e" * 64
    assert named(found, "scikit-learn").sha256 == "a" * 64
    assert named(found, "numpy").sha256 == ""  # another version was locked
    assert named(found, "uvloop").sha256 == "c" * 64  # the server's own


def test_licences_are_read_through_the_links_between_packages(tmp_path):
    found = facts(tmp_path)
    assert named(found, "zlib1g").licence.expression == "(GPL-2.0-or-later OR MIT) AND Zlib"
    linked = named(found, "libgcc-s1").licence
    assert list(linked.texts.values()) == ["do what you like\n\nbut ask"]
    assert named(found, "libc6").licence.expression == ""
    assert named(found, "scikit-learn").licence.expression == "BSD-3-Clause"
    assert named(found, "numpy").licence.said == "BSD"


@pytest.mark.parametrize(
    "target", ["zlib1g", "/usr/share/doc/zlib1g", "../doc/zlib1g", "../../share/doc/./zlib1g"]
)  # fmt: skip
def test_a_link_leads_to_the_licence_however_it_is_written(tmp_path, target):
    stanza = "Package: a\nStatus: install ok installed\nVersion: 1\n"
    more = {"/var/lib/dpkg/status.d/a": stanza, "/usr/share/doc/a": Path(target)}
    assert named(facts(tmp_path, more), "a").licence == named(facts(tmp_path), "zlib1g").licence


def test_links_in_a_circle_lead_to_no_licence(tmp_path):
    stanza = "Package: a\nStatus: install ok installed\nVersion: 1\n"
    more = {"/var/lib/dpkg/status.d/a": stanza, "/usr/share/doc/a": Path("b"), "/usr/share/doc/b": Path("a")}
    assert named(facts(tmp_path, more), "a").licence.expression == ""


def test_a_package_needs_the_first_alternative_that_is_installed_by_name_or_provision(tmp_path):
    found = facts(tmp_path)
    assert named(found, "zlib1g").needs == (named(found, "libc6").ref,)
    assert named(found, "libc6").needs == (named(found, "libgcc-s1").ref,)
    assert named(found, "libgcc-s1").needs == (named(found, "libc6").ref,)


def test_a_wheel_needs_what_its_metadata_requires_here_and_is_installed(tmp_path):
    found = facts(tmp_path)
    assert named(found, "scikit-learn").needs == ("pkg:pypi/joblib@1.6", "pkg:pypi/numpy@2.4.6")
    assert named(found, "joblib").needs == ("pkg:pypi/lz4@4.0",)  # its extra `fast` was asked for, `arrays` was not
    assert named(found, "mlship").needs == ("pkg:pypi/orjson@3.13.0", "pkg:pypi/uvloop@0.23.0")


def test_a_package_in_two_folders_is_one_component_with_two_places(tmp_path):
    assert named(facts(tmp_path), "orjson").places == (PACKAGES, SERVER)


def test_two_versions_of_a_package_are_two_components(tmp_path):
    more = {f"{SERVER}/numpy-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: numpy\nVersion: 1.0\n"}
    found = [one for one in facts(tmp_path, more).components if one.name == "numpy"]
    assert [(one.version, one.places) for one in found] == [("1.0", (SERVER,)), ("2.4.6", (PACKAGES,))]


def test_models_code_and_the_server_are_named_by_their_own_bytes(tmp_path):
    found = facts(tmp_path)
    model = named(found, "forest")
    assert (model.sha256, model.size, model.of_folder) == (SHA256, len(MODEL), False)
    assert dict(model.notes) == {"framework": "sklearn", "format": "joblib"}
    content = b"X = 1\n"
    line = f"{hashlib.sha256(content).hexdigest()}  features.py\n"
    assert named(found, "churn").sha256 == hashlib.sha256(line.encode()).hexdigest()
    assert named(found, "churn").places == (f"{CODE}/churn",)
    assert named(found, "mlship").of_folder


def test_compiled_files_do_not_change_what_the_server_is(tmp_path):
    again = {f"{SERVER}/mlship/server/__pycache__/app.pyc": "compiled elsewhere"}
    assert named(facts(tmp_path, again), "mlship") == named(facts(tmp_path), "mlship")


def test_a_model_of_several_files_is_named_by_its_sorted_lines(tmp_path):
    files = {f"{MODELS}/forest/b.bin": b"b", f"{MODELS}/forest/a/x.bin": b"x"}
    lines = [f"{hashlib.sha256(b'x').hexdigest()}  a/x.bin\n", f"{hashlib.sha256(b'b').hexdigest()}  b.bin\n"]
    digest = hashlib.sha256("".join(sorted(lines)).encode()).hexdigest()
    described = manifest(Model("forest", "python", "none", "models/forest", digest))
    model = named(facts(tmp_path, files=files, described=described), "forest")
    assert (model.sha256, model.of_folder, model.size) == (digest, True, 2)


def test_a_compiled_model_is_named_by_its_own_bytes_and_by_what_it_was_compiled_from(tmp_path):
    digest, original = hashlib.sha256(b"plan").hexdigest(), "d" * 64
    entry = Model("forest", "sklearn", "plan", "models/forest/model.plan", original, engine=Engine("trees", digest, 9))
    found = facts(tmp_path, files={f"{MODELS}/forest/model.plan": b"plan"}, described=manifest(entry))
    model = named(found, "forest")
    assert (model.sha256, model.notes["compiled from sha256"], model.notes["engine"]) == (digest, original, "trees")


def test_a_model_that_is_not_the_one_of_the_manifest_is_refused(tmp_path):
    with pytest.raises(MlshipError, match=r"/opt/mlship/models/forest/m.joblib of the image has the sha256 .* manifest says"):
        facts(tmp_path, files={f"{MODELS}/forest/m.joblib": b"another"})


def test_a_layer_that_was_changed_is_refused(tmp_path):
    layout, image = layout_with(tmp_path)
    blob = layout.path(image.layers[1].blob.digest)
    content = bytearray(blob.read_bytes())
    content[-5] ^= 1
    blob.write_bytes(content)
    with pytest.raises(MlshipError, match="layer 1 cannot be used"):
        read_facts(layout, image)


def test_a_higher_layer_replaces_and_removes_what_lower_ones_have(tmp_path):
    newer = BASE["/var/lib/dpkg/status.d/zlib1g"].replace("Version: 1:1.2.13", "Version: 1:1.3")
    more = {
        "/var/lib/dpkg/status.d/zlib1g": newer,
        "/var/lib/dpkg/status.d/.wh.libgcc-s1": "",
        f"{PACKAGES}/.wh.numpy-2.4.6.dist-info": "",
        f"{SERVER}/uvloop-0.23.0.dist-info/.wh..wh..opq": "",
    }
    found = facts(tmp_path, more)
    assert named(found, "zlib1g").version == "1:1.3.dfsg-1"
    assert not {"libgcc-s1", "numpy", "uvloop"} & {one.name for one in found.components}


def test_packages_of_an_ordinary_debian_image_are_found_in_dpkgs_own_file(tmp_path):
    stanzas = "Package: bash\nStatus: install ok installed\nVersion: 5.2\n\nPackage: old\nStatus: deinstall ok config-files\nVersion: 1\n"
    found = facts(tmp_path, {"/var/lib/dpkg/status": stanzas})
    assert named(found, "bash").version == "5.2"
    assert "old" not in [one.name for one in found.components]


def test_an_image_without_models_has_papers_too(tmp_path):
    found = facts(tmp_path, {"/opt/mlship/.wh.manifest.json": "", f"{SERVER}/mlship/__init__.py": ""})
    assert [one.name for one in found.components if one.kind == "model"] == []
    server = named(found, "mlship")
    assert (server.version, server.purl) == ("", "")


def test_what_is_held_does_not_grow_with_the_model(tmp_path):
    model = bytes(48 * 2**20)
    described = manifest(Model("forest", "sklearn", "joblib", "models/forest/m.joblib", hashlib.sha256(model).hexdigest()))
    layout, image = layout_with(tmp_path, files={f"{MODELS}/forest/m.joblib": model}, described=described)
    tracemalloc.start()
    try:
        read_facts(layout, image)
        assert tracemalloc.get_traced_memory()[1] < 12 * 2**20
    finally:
        tracemalloc.stop()
