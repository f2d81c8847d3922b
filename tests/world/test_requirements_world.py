"""Real uv and pip against the indexes of this machine, and a private one on 127.0.0.1."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pytest import fixture, mark, raises
from small_server import BYTES, PAGE, Answer, answering

from mlship.errors import Exit, MlshipError
from mlship.home import Home
from mlship.image.lock import Lock
from mlship.image.lock_file import read_lock, write_lock
from mlship.image.packages.find_environment import find_environment
from mlship.image.packages.indexes import find_indexes
from mlship.image.packages.requirements_files import requirements_of
from mlship.image.packages.resolve import lock, lock_server
from mlship.image.packages.wheels import install, missing_from, server_fits, server_wheels
from mlship.progress import Silent
from mlship.runner import LocalRunner

pytestmark = mark.world

PASSWORD = "s3cr3t-t0ken"


def make_wheel(folder: Path, name: str, version: str, code: str = "", requires: tuple[str, ...] = ()) -> Path:
    """A pure wheel, written by hand."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n" + "".join(f"Requires-Dist: {r}\n" for r in requires)
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}/__init__.py", code)
        wheel.writestr(f"{info}/METADATA", metadata)
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/entry_points.txt", f"[console_scripts]\n{name} = {name}:main\n")
        wheel.writestr(f"{info}/RECORD", f"{name}/__init__.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


@fixture
def private_index(tmp_path):
    """An index that wants a password. `.hashes` False leaves the hashes out of its pages, as simple servers do."""
    index = PrivateIndex(tmp_path / "private")
    make_wheel(index.wheels, "acmeprivate", "1.4")
    with answering(index.answer) as index.address:
        yield index


class PrivateIndex:
    hashes = True
    address = ""

    def __init__(self, wheels: Path) -> None:
        self.wheels = wheels

    def answer(self, path: str, headers: Mapping[str, str]) -> Answer:
        wanted = "Basic " + base64.b64encode(f"anna:{PASSWORD}".encode()).decode()
        if headers.get("Authorization") != wanted:
            return 401, b"", PAGE
        parts = path.strip("/").split("/")
        if parts[0] == "files" and (self.wheels / parts[1]).is_file():
            return 200, (self.wheels / parts[1]).read_bytes(), BYTES
        found = [path for path in self.wheels.glob("*.whl") if path.name.startswith(f"{parts[-1]}-")]
        links = [f'<a href="/files/{path.name}{self.hash_of(path)}">{path.name}</a>' for path in found]
        return (200 if found else 404), f"<html><body>{''.join(links)}</body></html>".encode(), PAGE

    def hash_of(self, path: Path) -> str:
        return f"#sha256={hashlib.sha256(path.read_bytes()).hexdigest()}" if self.hashes else ""


class Bench:
    """A project with its own home, on this machine's settings."""

    def __init__(self, root: Path) -> None:
        self.root = root / "project"
        self.root.mkdir(exist_ok=True)
        self.home = Home(root / "home")
        self.environ = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    file: Path | None = None

    def indexes(self):
        return find_indexes(self.environ, self.root, file=self.file)

    def doors(self, platform: str) -> dict:
        return {"python_minor": "3.11", "platform": platform, "glibc": "2.36", "indexes": self.indexes(),
                "runner": LocalRunner(), "home": self.home, "progress": Silent()}  # fmt: skip

    def lock(
        self, requirements: str = "requirements.txt", own=(), platform: str = "linux/amd64", python: Path = Path(sys.executable)
    ):
        found = find_environment(
            self.root, requirements=requirements, environ=self.environ, runner=LocalRunner(), python_version="3.11"
        )
        self.file = found.file
        wanted = requirements_of(found, (), project_root=self.root, own=own, platform=platform)
        return lock(wanted, python=python, **self.doors(platform))

    def install(self, resolution, platform: str = "linux/amd64") -> Path:
        return install(resolution.wheels, project_root=self.root, python=Path(sys.executable), **self.doors(platform))


@fixture
def bench(tmp_path):
    return Bench(tmp_path)


def wheel(resolution, name):
    return next(one for one in resolution.wheels if one.name == name)


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {str(p.relative_to(folder)): (p.stat().st_mode, p.read_bytes()) for p in folder.rglob("*") if p.is_file()}


@mark.parametrize("hashes", [True, False])
def test_a_private_index_with_a_password_is_used_and_its_password_stays_out_of_the_lock(bench, private_index, hashes):
    private_index.hashes = hashes
    bench.environ["PIP_EXTRA_INDEX_URL"] = f"http://anna:{PASSWORD}@{private_index.address}/simple"
    bench.write("requirements.txt", "acmeprivate\n")
    found = bench.lock()
    made = private_index.wheels / "acmeprivate-1.4-py3-none-any.whl"
    assert wheel(found, "acmeprivate").sha256 == hashlib.sha256(made.read_bytes()).hexdigest()
    folder = bench.install(found)
    assert missing_from(folder, ("acmeprivate", "numpy", "absent")) == ("absent",)
    write_lock(bench.root / "mlship.lock", (Lock("3.11", "linux/amd64", "bookworm", (), found.wheels, "x"),))
    assert PASSWORD not in (bench.root / "mlship.lock").read_text()
    assert not [path for path in folder.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]


def test_an_index_that_only_the_requirements_file_names_is_used_to_install_too(bench, private_index, monkeypatch):
    bench.environ["ACME_TOKEN"] = PASSWORD
    monkeypatch.setenv("ACME_TOKEN", PASSWORD)  # uv reads the file itself, too
    bench.write(
        "requirements.txt", f"--extra-index-url http://anna:${{ACME_TOKEN}}@{private_index.address}/simple\nacmeprivate\n"
    )
    assert missing_from(bench.install(bench.lock()), ("acmeprivate",)) == ()


def test_a_wrong_password_is_an_error_that_does_not_show_it(bench, private_index):
    bench.environ["PIP_INDEX_URL"] = f"http://anna:wrong-{PASSWORD}@{private_index.address}/simple"
    bench.environ.pop("PIP_FIND_LINKS", None)
    bench.environ["PIP_CONFIG_FILE"] = "/dev/null"
    bench.environ["PIP_INDEX_URL"] = f"http://anna:wrong-{PASSWORD}@{private_index.address}/simple"
    bench.write("requirements.txt", "acmeprivate==1.4\n")
    with raises(MlshipError) as caught:
        bench.lock()
    assert caught.value.exit is Exit.BUILD_FAILED
    assert PASSWORD not in str(caught.value) + " ".join(caught.value.details)


def test_a_netrc_is_left_to_uv(bench, private_index, monkeypatch):
    netrc = bench.root / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login anna password {PASSWORD}\n")
    monkeypatch.setenv("NETRC", str(netrc))
    bench.environ["UV_INDEX"] = f"http://{private_index.address}/simple"
    bench.write("requirements.txt", "acmeprivate\n")
    assert wheel(bench.lock(), "acmeprivate").version == "1.4"


def test_a_version_with_a_local_tag_comes_from_a_folder_of_wheels(bench, tmp_path):
    make_wheel(tmp_path / "links", "acmetagged", "2.0+cpu")
    bench.environ["PIP_FIND_LINKS"] = f"{tmp_path}/links {tmp_path}/not-there"
    bench.write("requirements.txt", "acmetagged==2.0\n")
    found = bench.lock()
    assert wheel(found, "acmetagged").version == "2.0+cpu"
    assert missing_from(bench.install(found), ("acmetagged",)) == ()


@fixture
def trained(bench, tmp_path):
    """A training environment of its own, with what `install` names."""
    folder = bench.root / ".venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)

    def add(*requirements: str) -> None:
        uv = Path(sys.executable).parent / "uv"
        command = [str(uv), "pip", "install", "--quiet", "--python", str(folder / "bin/python"), *requirements]
        subprocess.run(command, check=True, env={**bench.environ, **bench.indexes().uv_environ()})

    return add


def from_environment(bench, modules, own=()):
    found = find_environment(bench.root, environ=bench.environ, runner=LocalRunner(), modules=modules)
    wanted = requirements_of(found, modules, project_root=bench.root, own=own)
    return lock(wanted, python=found.python, **bench.doors("linux/amd64"))


def test_an_environment_with_a_tag_that_no_index_has_takes_the_plain_version_and_says_so(bench, trained, tmp_path):
    tagged = make_wheel(tmp_path / "own", "acmetagged", "2.0+cu128")
    make_wheel(tmp_path / "links", "acmetagged", "2.0")
    trained(str(tagged))
    # the wheel's file is gone: all that is known is the version
    tagged.unlink()
    bench.environ["PIP_FIND_LINKS"] = str(tmp_path / "links")
    found = from_environment(bench, ("acmetagged",))
    assert wheel(found, "acmetagged").version == "2.0"
    (finding,) = found.findings
    assert "acmetagged==2.0+cu128 is on no index that is configured here; acmetagged==2.0 is taken" in str(finding)


def test_a_package_that_no_index_has_is_named(bench, trained, tmp_path):
    made = make_wheel(tmp_path / "own", "acmelost", "7.0")
    trained(str(made), "docopt-ng")
    made.unlink()
    with raises(MlshipError) as caught:
        from_environment(bench, ("acmelost", "docopt"))
    assert "acmelost==7.0 is on no index that is configured here for Python 3.11 on linux/amd64" in str(caught.value)
    assert "docopt" not in str(caught.value)
    assert caught.value.exit is Exit.BUILD_FAILED


def test_an_environment_that_contradicts_itself_is_taken_as_it_is(bench, trained, tmp_path):
    make_wheel(tmp_path / "links", "acmestrict", "1.0", requires=("acmeother<2",))
    make_wheel(tmp_path / "links", "acmeother", "3.0")
    bench.environ["PIP_FIND_LINKS"] = str(tmp_path / "links")
    trained("--no-deps", "acmestrict", "acmeother")
    assert [one.version for one in from_environment(bench, ("acmestrict",)).wheels if one.name == "acmeother"] == ["3.0"]


PROJECT = """[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "{name}"
version = "{version}"
dependencies = {requires}
"""


def make_project(folder: Path, name: str, version: str = "0.3", requires: str = "[]") -> Path:
    (folder / name).mkdir(parents=True)
    (folder / name / "__init__.py").write_text("x = 1\n")
    (folder / "pyproject.toml").write_text(PROJECT.format(name=name, version=version, requires=requires))
    return folder


def commit(folder: Path) -> str:
    git = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.test"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        subprocess.run([*git, *arguments], check=True)
    return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


def test_a_git_package_of_the_environment_is_built_once_and_locked_by_hash_and_commit(bench, trained, tmp_path):
    made = commit(make_project(tmp_path / "repository", "acmegit"))
    trained(f"acmegit @ git+{(tmp_path / 'repository').as_uri()}")
    found = wheel(from_environment(bench, ("acmegit",)), "acmegit")
    assert found.origin == f"git+file://{tmp_path}/repository@{made}"
    assert found.built and hashlib.sha256(found.built.read_bytes()).hexdigest() == found.sha256
    (tmp_path / "repository").rename(tmp_path / "gone")  # nothing is fetched again
    assert wheel(from_environment(bench, ("acmegit",)), "acmegit") == found


def test_a_lock_of_another_machine_is_built_again_to_the_same_hash(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    commit(make_project(tmp_path / "repository", "acmegit"))
    benches = [Bench(tmp_path / "one"), Bench(tmp_path / "two")]
    benches[0].write("requirements.txt", f"acmegit @ git+{(tmp_path / 'repository').as_uri()}\n")
    first = benches[0].lock()
    write_lock(tmp_path / "mlship.lock", (Lock("3.11", "linux/amd64", "bookworm", (), first.wheels, "x"),))
    (there,) = read_lock(tmp_path / "mlship.lock")
    before = os.umask(0o077)
    try:
        second = install(
            there.wheels, project_root=benches[1].root, python=Path(sys.executable), **benches[1].doors("linux/amd64")
        )
    finally:
        os.umask(before)
    assert contents(second) == contents(benches[0].install(first))


def test_a_source_only_package_and_a_folder_are_built_and_the_users_own_project_is_left_out(bench):
    make_project(bench.root, "mine", requires='["docopt==0.6.2"]')
    make_project(bench.root / "libs/acme", "acmelocal")
    bench.write("requirements/prod.txt", "-e .\n./libs/acme\n")
    found = bench.lock("requirements/prod.txt", own=("mine",))
    assert [one.name for one in found.wheels] == ["acmelocal", "docopt", "numpy"]
    assert wheel(found, "docopt").origin.startswith("docopt-0.6.2.tar.gz#sha256=")
    assert wheel(found, "acmelocal").origin == "file:libs/acme"
    assert missing_from(bench.install(found), ("acmelocal", "docopt", "numpy")) == ()


def test_a_source_that_does_not_build_is_named_with_the_end_of_its_output(bench):
    make_project(bench.root / "libs/acme", "acmebroken")
    (bench.root / "libs/acme/pyproject.toml").write_text(
        "[build-system]\nrequires=[]\nbuild-backend='broken'\nbackend-path=['.']\n[project]\nname='acmebroken'\nversion='1'\n"
    )
    (bench.root / "libs/acme/broken.py").write_text("raise SystemExit('no compiler')\n")
    bench.write("requirements.txt", "./libs/acme\n")
    with raises(
        MlshipError, match=r"acmebroken has no wheel, and building one from its folder failed.*install what its build needs"
    ):
        bench.lock()


def test_a_wheel_that_was_compiled_here_is_refused_for_another_platform(bench, tmp_path):
    folder = tmp_path / "links"
    made = make_wheel(folder, "acmenative", "1.0")
    native = made.rename(folder / "acmenative-1.0-cp311-cp311-linux_x86_64.whl")
    bench.write("requirements.txt", f"acmenative @ {native.as_uri()}\n")
    assert wheel(bench.lock(), "acmenative").built
    bench.environ["UV_INDEX_STRATEGY"] = "unsafe-best-match"  # an index may have numpy for one platform only
    with raises(MlshipError, match=r"acmenative.*linux/arm64"):
        bench.lock(platform="linux/arm64")


def test_a_uv_lock_is_taken_as_it_is(bench):
    bench.write("pyproject.toml", "[project]\nname='mine'\nversion='1'\nrequires-python='>=3.11'\ndependencies=['docopt-ng==0.9.0']\n"
                "[dependency-groups]\ndev=['six']\n")  # fmt: skip
    uv = Path(sys.executable).parent / "uv"
    subprocess.run(
        [str(uv), "lock", "--quiet"], cwd=bench.root, check=True, env={**bench.environ, **bench.indexes().uv_environ()}
    )
    found = bench.lock("uv.lock")
    assert [f"{one.name} {one.version}" for one in found.wheels if one.name != "numpy"] == ["docopt-ng 0.9.0"]


def test_a_uv_lock_with_an_explicit_index_is_installed_from_it(bench, private_index, monkeypatch):
    monkeypatch.setenv("UV_INDEX_ACME_USERNAME", "anna")
    monkeypatch.setenv("UV_INDEX_ACME_PASSWORD", PASSWORD)
    bench.write("pyproject.toml", "[project]\nname='mine'\nversion='1'\nrequires-python='>=3.11'\ndependencies=['acmeprivate']\n"
                f"[[tool.uv.index]]\nname='acme'\nurl='http://{private_index.address}/simple'\nexplicit=true\n"
                "[tool.uv.sources]\nacmeprivate={index='acme'}\n")  # fmt: skip
    uv = Path(sys.executable).parent / "uv"
    subprocess.run([str(uv), "lock", "--quiet"], cwd=bench.root, check=True)
    assert PASSWORD not in (bench.root / "uv.lock").read_text()
    assert missing_from(bench.install(bench.lock("uv.lock")), ("acmeprivate",)) == ()


def test_poetry_conda_and_pyproject_files_are_resolved(bench):
    bench.write("pyproject.toml", "[project]\nname='mine'\nversion='1'\ndependencies=['docopt-ng<0.9']\n")
    bench.write("poetry.lock", "[[package]]\nname='docopt-ng'\nversion='0.8.1'\n[[package]]\nname='six'\nversion='1.16.0'\n")
    bench.write("environment.yml", "dependencies: [python=3.11, docopt-ng=0.9.0, {pip: [six==1.16.0]}]\n")

    def versions(name: str) -> list[str]:
        return [f"{one.name} {one.version}" for one in bench.lock(name).wheels if one.name != "numpy"]

    assert versions("pyproject.toml") == ["docopt-ng 0.8.1"]
    assert versions("poetry.lock") == ["docopt-ng 0.8.1"]
    assert versions("environment.yml") == ["docopt-ng 0.9.0", "six 1.16.0"]


def test_requirements_that_contradict_each_other_end_with_uvs_words(bench):
    bench.write("requirements.txt", "numpy<2\nnumpy>2\n")
    with raises(
        MlshipError, match=r"the requirements of requirements.txt have no solution for Python 3.11 on linux/amd64"
    ) as caught:
        bench.lock()
    assert caught.value.details


def test_an_installed_folder_is_whole_clean_and_found_again_without_a_program(bench, tmp_path):
    make_wheel(tmp_path / "links", "acmetool", "1.0")
    bench.environ["PIP_FIND_LINKS"] = str(tmp_path / "links")
    bench.write("requirements.txt", "acmetool\n")
    found = bench.lock()
    folder = bench.install(found)
    names = {path.name for path in folder.rglob("*")}
    assert not names & {"bin", "INSTALLER", "REQUESTED", "direct_url.json", "__pycache__", "uv_cache.json"}
    assert not [p for p in folder.rglob("*") if p.is_file() and str(tmp_path).encode() in p.read_bytes()]
    assert {path.stat().st_mtime for path in folder.rglob("*")} == {0}
    assert sorted(path.name for path in folder.parent.iterdir()) == [folder.name]

    class NoPrograms:
        def __getattr__(self, name: str):
            raise AssertionError("a program was started")

    again = install(found.wheels, project_root=bench.root, **{**bench.doors("linux/amd64"), "runner": NoPrograms()})
    assert again == folder


def test_a_file_that_is_not_the_locked_one_is_refused(bench, tmp_path):
    make_wheel(tmp_path / "links", "acmetool", "1.0")
    bench.environ["PIP_FIND_LINKS"] = str(tmp_path / "links")
    bench.write("requirements.txt", "acmetool\n")
    found = bench.lock()
    other = tuple(replace(one, sha256="0" * 64) if one.name == "acmetool" else one for one in found.wheels)
    with raises(MlshipError, match="the locked packages cannot be installed") as caught:
        bench.install(replace(found, wheels=other))
    assert caught.value.exit is Exit.BUILD_FAILED
    assert not list((bench.home.cache / "packages").glob("[0-9a-f]*"))


def test_an_index_that_nobody_answers_for_is_not_a_package_that_nobody_has(bench, tmp_path, monkeypatch):
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    make_wheel(tmp_path / "links", "acmetool", "1.0")
    bench.environ["PIP_FIND_LINKS"] = str(tmp_path / "links")
    bench.write("requirements.txt", "acmetool==1.0\n")
    found = bench.lock()
    shutil.rmtree(tmp_path / "links")
    bench.environ.update(PIP_FIND_LINKS="", PIP_INDEX_URL="http://127.0.0.1:9/simple", NO_PROXY="*")  # the discard port
    for act in (bench.lock, lambda: bench.install(found)):
        with raises(MlshipError, match="the package index cannot be reached") as caught:
            act()
        assert caught.value.exit is Exit.UNREACHABLE


def test_the_servers_packages_are_locked_for_images_and_installed_for_a_python_of_this_machine(bench):
    doors = bench.doors("linux/arm64")
    wheels = lock_server(root=bench.root, **doors)
    assert server_fits(wheels, "3.11") and all(len(wheel.sha256) == 64 for wheel in wheels)
    foreign = install(wheels, project_root=bench.root, **doors)
    assert list(foreign.glob("orjson/*aarch64*.so"))
    here = {key: value for key, value in doors.items() if key not in ("platform", "glibc")}
    pins = "# the server's own\norjson==3.11.4\n"
    own = server_wheels(python=Path(sys.executable), packages=pins, project_root=bench.root, **here)
    assert missing_from(own, ("orjson",)) == () and own != foreign


def test_a_folder_like_condas_is_read(bench, tmp_path):
    prefix = tmp_path / "conda/envs/ml"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(prefix)], check=True)
    site = next(prefix.glob("lib/python*/site-packages"))
    with zipfile.ZipFile(make_wheel(tmp_path / "w", "acmeconda", "1.2")) as made:
        made.extractall(site)
    info = site / "acmeconda-1.2.dist-info"
    (info / "INSTALLER").write_text("conda")
    (info / "direct_url.json").write_text('{"url": "file:///home/conda/feedstock_root/acmeconda_1/work", "dir_info": {}}')
    bench.environ.update(CONDA_PREFIX=str(prefix), CONDA_DEFAULT_ENV="ml")
    found = find_environment(bench.root, environ=bench.environ, runner=LocalRunner(), modules=("acmeconda",))
    assert (found.source, found.distributions["acmeconda"].origin) == ("conda environment ml", "")
