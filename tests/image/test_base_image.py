"""What an image is as a base: read from its layers, judged for a Python and a platform."""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
from dataclasses import replace

import pytest

from mlship.errors import MlshipError
from mlship.image.base_image.facts import BaseFacts, base_facts
from mlship.image.base_image.files import Files, read_files
from mlship.image.base_image.guard import misfits, risks
from mlship.image.base_image.stdlib import stdlib_sources
from mlship.oci.image import Layer
from mlship.oci.layout import Layout

GLIBC = b"\x7fELF ... GNU C Library (Debian GLIBC 2.36-9+deb12u10) stable release version 2.36.\n"
ELF = b"\x7fELF\x02\x01" + bytes(12) + struct.pack("<H", 62) + bytes(60)
SLIM = {
    "bin": "-> usr/bin",
    "lib": "-> usr/lib",
    "usr/bin/sh": "-> dash",
    "usr/bin/dash": b"x",
    "usr/bin/su": (b"x", 0o4755),
    "usr/lib/x86_64-linux-gnu/libc.so.6": GLIBC,
    "usr/lib/os-release": b'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
    "etc/os-release": "-> ../usr/lib/os-release",
    "usr/local/bin/python3.11": (ELF, 0o755),
    "usr/local/bin/python3": "-> python3.11",
    "usr/local/lib/python3.11/os.py": b"",
    "var/lib/dpkg/status": b"",
}
FACTS = BaseFacts("Debian", "2.36", False, {"3.11": "/usr/bin/python3.11"}, {}, ("linux/amd64",), (), "", False, True)


def layer(layout: Layout, files: dict) -> Layer:
    output = io.BytesIO()
    with tarfile.open(fileobj=output, mode="w") as archive:
        for name, said in files.items():
            member, content = tarfile.TarInfo(name), b""
            if isinstance(said, str) and said.startswith("-> "):
                member.type, member.linkname = tarfile.SYMTYPE, said[3:]
            elif isinstance(said, str) and said.startswith("= "):
                member.type, member.linkname = tarfile.LNKTYPE, said[2:]
            elif isinstance(said, int):
                member.type, member.mode = tarfile.DIRTYPE, said
            else:
                content, member.mode = said if isinstance(said, tuple) else (said, 0o644)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    raw = output.getvalue()
    blob = layout.put_blob(raw, "application/vnd.oci.image.layer.v1.tar")
    return Layer(blob, f"sha256:{hashlib.sha256(raw).hexdigest()}", len(raw), name="foreign")


def files_of(tmp_path, *layers: dict) -> Files:
    layout = Layout(tmp_path)
    return read_files(layout, [layer(layout, files) for files in layers])


def facts_of(tmp_path, *layers: dict, path: str = "/usr/local/bin:/usr/bin") -> BaseFacts:
    return base_facts(files_of(tmp_path, *layers), path.split(":"))


def codes(facts: BaseFacts, minor: str = "3.11", platform: str = "linux/amd64") -> list[str]:
    return [found.code for found in misfits(facts, "r.example.test/python:1", python_minor=minor, platform=platform, where="")]


def test_a_slim_python_image_is_understood(tmp_path):
    found = facts_of(tmp_path, SLIM)
    assert found == BaseFacts(
        system="Debian GNU/Linux 12 (bookworm)",
        glibc="2.36",
        is_musl=False,
        pythons={"3.11": "/usr/local/bin/python3.11"},
        closed={},
        machines=("linux/amd64",),
        setuid=("/usr/bin/su",),
        shell="/bin/sh",
        taken=False,
        has_dpkg=True,
    )
    assert codes(found) == []


def test_the_python_of_path_comes_first_and_opt_is_looked_into(tmp_path):
    two = {**SLIM, "usr/bin/python3.11": (ELF, 0o755), "usr/lib/python3.11/os.py": b""}
    assert facts_of(tmp_path, two, path="/usr/bin:/usr/local/bin").pythons == {"3.11": "/usr/bin/python3.11"}
    opt = {"opt/conda/bin/python3.12": (ELF, 0o755), "opt/conda/lib/python3.12/os.py": b""}
    assert facts_of(tmp_path, SLIM, opt).pythons["3.12"] == "/opt/conda/bin/python3.12"


def test_a_link_to_an_interpreter_is_its_real_place_and_one_without_a_library_is_none(tmp_path):
    linked = {**SLIM, "venv/bin/python3.11": "-> /usr/local/bin/python3.11", "odd/bin/python3.12": (ELF, 0o755)}
    assert facts_of(tmp_path, linked, path="/venv/bin:/odd/bin").pythons == {"3.11": "/usr/local/bin/python3.11"}


def test_a_python_of_root_alone_is_refused(tmp_path):
    home = {"root": 0o700, "root/py/bin/python3.12": (ELF, 0o755), "root/py/lib/python3.12/os.py": b""}
    found = facts_of(tmp_path, SLIM, home, path="/root/py/bin")
    assert found.closed == {"3.12": "/root/py/bin/python3.12"}
    assert codes(found, "3.12") == ["closed-python"]


def test_whiteouts_and_replaced_paths_of_upper_layers_are_respected(tmp_path):
    upper = {
        "usr/local/bin/.wh.python3.11": b"",
        "var/lib/dpkg/.wh..wh..opq": b"",
        "usr/bin/su": (b"x", 0o755),
        "usr/bin/dash": "-> nowhere",
        "lib/x": b"a folder in the place of the link",
    }
    found = facts_of(tmp_path, SLIM, upper)
    assert (found.pythons, found.has_dpkg, found.setuid, found.shell) == ({}, False, (), "")
    assert files_of(tmp_path, SLIM, upper).real("/lib/x86_64-linux-gnu") == ""


def test_hard_links_are_the_same_file(tmp_path):
    found = facts_of(tmp_path, {**SLIM, "usr/bin/sudo": "= usr/bin/su"})
    assert found.setuid == ("/usr/bin/su", "/usr/bin/sudo")


def test_capabilities_of_files_are_rights_too(tmp_path):
    output, ping = io.BytesIO(), tarfile.TarInfo("usr/bin/ping")
    ping.pax_headers = {"SCHILY.xattr.security.capability": "x"}
    with tarfile.open(fileobj=output, mode="w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(ping)
    layout = Layout(tmp_path)
    blob = layout.put_blob(output.getvalue(), "application/vnd.oci.image.layer.v1.tar")
    files = read_files(layout, [Layer(blob, blob.digest, blob.size)])
    assert base_facts(files, ()).setuid == ("/usr/bin/ping",)


@pytest.mark.parametrize("name", ["../etc/passwd", "a/../../b"])
def test_a_path_that_leads_out_is_refused(tmp_path, name):
    with pytest.raises(MlshipError, match=r"layer foreign cannot be used: the path .* leads out of the image"):
        files_of(tmp_path, {name: b"x"})


def test_links_in_a_circle_lead_nowhere(tmp_path):
    assert files_of(tmp_path, {"a": "-> b", "b": "-> a"}).real("/a/x") == ""


def test_alpine_is_refused_with_the_tag_to_take(tmp_path):
    found = facts_of(
        tmp_path, {"lib/ld-musl-x86_64.so.1": b"x", "usr/bin/python3.11": (ELF, 0o755), "usr/lib/python3.11/os.py": b""}
    )
    (finding,) = misfits(found, "r.example.test/python:3.11-alpine", python_minor="3.11", platform="linux/amd64", where="f:1")
    assert "musl" in finding.what and "-slim" in finding.fix and finding.where == "f:1"


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"glibc": ""}, "no-glibc"),
        ({"pythons": {}}, "no-python"),
        ({"pythons": {"3.9": "/a", "3.12": "/b"}}, "base-python"),
        ({"machines": ("linux/arm64",)}, "other-platform-base"),
        ({"taken": True}, "taken-base"),
    ],
)
def test_what_does_not_fit_is_refused(changed, code):
    assert codes(replace(FACTS, **changed)) == [code]


def test_another_python_is_refused_with_all_that_would_fit():
    (finding,) = misfits(FACTS, "r.example.test/python:3.11", python_minor="3.13", platform="linux/amd64", where="")
    assert finding.what == "r.example.test/python:3.11 has Python 3.11 (/usr/bin/python3.11), and the model needs 3.13"
    assert "a tag of it with Python 3.13" in finding.fix
    assert 'train with Python 3.11 and write python: "3.11"' in finding.fix and "{base: debian}" in finding.fix


def test_a_shell_and_setuid_programs_are_told():
    assert risks(FACTS, "r", "") == ()
    assert [found.code for found in risks(replace(FACTS, has_dpkg=False), "r", "")] == ["unknown-packages"]
    (finding,) = risks(replace(FACTS, shell="/bin/sh", setuid=("/a", "/b", "/c", "/d", "/e")), "r", "")
    assert finding.severity == "warning"
    assert finding.what.startswith("r has a shell (/bin/sh) and 5 programs that gain rights (/a, /b, /c, /d and 1 more)")


def test_only_a_library_without_compiled_files_is_compiled_and_nothing_that_no_server_imports(tmp_path):
    library = tmp_path / "usr/local/lib/python3.11"
    for name in (
        "os.py",
        "json/__init__.py",
        "test/x.py",
        "sqlite3/test/x.py",
        "site-packages/pip/x.py",
        "idlelib/x.py",
        "a.txt",
    ):
        (library / name).parent.mkdir(parents=True, exist_ok=True)
        (library / name).touch()
    python = "/usr/local/bin/python3.11"
    found = [inside for _, inside in stdlib_sources(tmp_path, python)]
    assert found == ["/usr/local/lib/python3.11/json/__init__.py", "/usr/local/lib/python3.11/os.py"]
    (tmp_path / "opt").mkdir()
    (tmp_path / "opt/lib").symlink_to(tmp_path / "usr/local/lib")
    assert stdlib_sources(tmp_path, "/opt/bin/python3.11") == [], "a layer would put a folder in the place of the link"
    (library / "__pycache__").mkdir()
    (library / "__pycache__/os.cpython-311.pyc").touch()
    assert stdlib_sources(tmp_path, python) == []
