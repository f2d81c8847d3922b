from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from pytest import fixture, mark, raises
from requirements_fakes import FakeRunner, NoRunner, dist, environment, workplace

from mlship.errors import Exit, Finding, FindingsError, MlshipError
from mlship.image.packages.indexes import Indexes, Source
from mlship.image.packages.requirements_files import Requirements, requirements_of
from mlship.image.packages.resolve import lock
from mlship.image.packages.uv_program import uv_platform, wheel_tags
from mlship.image.packages.wheel_choice import best_wheel, resolved_packages
from mlship.runner import Result

TAGS = wheel_tags("3.11", "linux/amd64", "2.36")
HASH = "b" * 64


def pylock(*packages: str) -> bytes:
    return ("lock-version = '1.0'\n" + "\n".join(f"[[packages]]\n{package}" for package in packages)).encode()


def entry(name: str, version: str, *files: str) -> str:
    wheels = ", ".join(f"{{ url = 'https://x.test/{file}', hashes = {{ sha256 = '{HASH}' }} }}" for file in files)
    return f"name = '{name}'\nversion = '{version}'\nwheels = [{wheels}]\n"


NUMPY = entry("numpy", "2.1.0", "numpy-2.1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl")


@fixture
def requirements():
    return Requirements("requirements.txt", Path("/p"), lines=("numpy==2.1.0",))


def resolve(requirements, runner, tmp_path, **more):
    doors = workplace(tmp_path, runner)
    return lock(requirements, **{**doors, "python_minor": "3.11", "platform": "linux/amd64", "glibc": "2.36", **more})


def test_uv_is_asked_for_wheels_of_the_images_platform(requirements, tmp_path):
    runner = FakeRunner(lambda command: pylock(NUMPY))
    found = resolve(requirements, runner, tmp_path, python=Path("/env/bin/python"))
    assert [(wheel.name, wheel.version, wheel.sha256) for wheel in found.wheels] == [("numpy", "2.1.0", HASH)]
    (command,) = runner.commands
    asked = " ".join(command.argv)
    assert "--python-version 3.11 --python-platform x86_64-manylinux_2_36 --only-binary :all: --python /env/bin/python" in asked
    assert command.cwd == Path("/p")
    assert command.extra_environ["UV_PYTHON_DOWNLOADS"] == "never"


def test_uv_looks_for_a_python_only_where_it_may_build_with_it(requirements, tmp_path):
    runner = FakeRunner(lambda command: None if "--only-binary" not in command.argv else Result(1, b"", b"no wheel"),
                        lambda command: pylock(NUMPY))  # fmt: skip
    resolve(requirements, runner, tmp_path)
    of_wheels, of_sources = runner.commands
    assert of_wheels.argv[-2:] == ("--python", sys.executable) and "--python" not in of_sources.argv


def test_the_servers_pins_are_not_asked_for_one_by_one(tmp_path):
    sources = [Source("index", "https://a.test/simple", "pip.conf"), Source("extra", "https://b.test/simple", "pip.conf")]
    indexes = Indexes(index=sources[0], extra=(sources[1],))

    def answered(command):
        return pylock(NUMPY) if "unsafe-best-match" in " ".join((*command.argv, *command.extra_environ.values())) else None

    runner = FakeRunner(answered, lambda command: Result(1, b"", b"not in this version"))
    pins = Requirements("mlship's server", tmp_path, lines=("numpy==2.1.0",), is_mlships=True)
    assert [wheel.name for wheel in resolve(pins, runner, tmp_path, indexes=indexes).wheels] == ["numpy"]
    assert not any("--no-deps" in command.argv for command in runner.commands)
    told = resolve(replace(pins, is_mlships=False), runner, tmp_path, indexes=indexes)
    assert any("--no-deps" in command.argv for command in runner.commands)
    assert [finding.code for finding in told.findings] == ["later-index"]
    two = resolve(replace(pins, lines=(*pins.lines, "scipy==1.15.0"), is_mlships=False), runner, tmp_path, indexes=indexes)
    (note,) = two.findings
    assert note.what.startswith("numpy==2.1.0, scipy==1.15.0 are taken from a later index")


def test_no_address_is_ever_an_argument(requirements, tmp_path):
    runner = FakeRunner(lambda command: pylock(NUMPY))
    secret = Indexes(index=Source("index", "https://u:s3cr3t@x.test/simple", "pip.conf"))
    resolve(requirements, runner, tmp_path, indexes=secret)
    (command,) = runner.commands
    assert "s3cr3t" not in " ".join(command.argv)
    assert command.extra_environ["UV_DEFAULT_INDEX"].startswith("https://u:s3cr3t@x.test")


def test_the_pins_of_an_environment_hold_whatever_packages_demand(tmp_path):
    seen = {}

    def answer(command):
        for flag in ("--overrides", "--constraints"):
            if flag in command.argv:
                seen[flag] = Path(command.argv[command.argv.index(flag) + 1]).read_text()
        return pylock(NUMPY)

    env = environment(dist("numpy", "2.1.0"), dist("old", "1.0", requires=("numpy<2",)))
    resolve(requirements_of(env, ("old",), project_root=Path("/p")), FakeRunner(answer), tmp_path)
    assert seen == {"--overrides": "numpy==2.1.0\nold==1.0\n"}


def test_findings_of_the_requirements_stop_before_anything_is_asked(requirements, tmp_path):
    wrong = replace(requirements, findings=(Finding("the module x is needed"),))
    with raises(FindingsError, match=r"requirements.txt has 1 problem\n  the module x is needed"):
        resolve(wrong, NoRunner(), tmp_path)


def refusing(*absent: str):
    """An index without some pins: asked together or alone, uv ends with 1."""

    def answer(command):
        files = [Path(argument) for argument in command.argv if argument.startswith("/") and argument.endswith((".in", ".txt"))]
        text = "".join(path.read_text() for path in files)
        return Result(1, b"", b"no solution") if any(pin in text for pin in absent) else pylock(NUMPY)

    return FakeRunner(answer)


def test_pins_that_no_index_has_are_named_one_by_one(requirements, tmp_path):
    asked = replace(requirements, lines=("numpy==2.1.0", "a==1", "b==2"))
    with raises(FindingsError) as caught:
        resolve(asked, refusing("a==1", "b==2"), tmp_path)
    assert str(caught.value).splitlines()[:2] == [
        "2 problems with packages",
        "  requirements.txt  a==1 is on no index that is configured here for Python 3.11 on linux/amd64; "
        "mlship doctor shows the indexes; add the one that has it, or install another version and train again",
    ]
    assert caught.value.exit is Exit.BUILD_FAILED


def test_a_local_tag_that_no_index_has_is_dropped_with_a_warning(requirements, tmp_path):
    found = resolve(replace(requirements, lines=("torch==2.13.0+cu128",)), refusing("+cu128"), tmp_path)
    (finding,) = found.findings
    assert finding.severity == "warning"
    assert "torch==2.13.0+cu128 is on no index that is configured here; torch==2.13.0 is taken" in str(finding)


def test_builds_for_graphics_cards_are_named(requirements, tmp_path):
    files = [entry(name, "12", f"{name.replace('-', '_')}-12-py3-none-any.whl") for name in ("nvidia-a", "nvidia-b")]
    (finding,) = resolve(requirements, FakeRunner(lambda command: pylock(NUMPY, *files)), tmp_path).findings
    assert str(finding) == (
        "requirements.txt  nvidia-a and 1 more packages are needed by a build for graphics cards, and make the image much larger; "
        "to serve on CPUs install the CPU build, such as torch from its CPU index"
    )


def test_without_a_solution_uvs_last_lines_are_shown(requirements, tmp_path):
    runner = FakeRunner(lambda command: Result(1, b"", b"because\nof this"))
    asked = replace(requirements, lines=("numpy",))
    with raises(
        MlshipError, match=r"the requirements of requirements.txt have no solution for Python 3.11 on linux/amd64"
    ) as caught:
        resolve(asked, runner, tmp_path)
    assert caught.value.details == ("because", "of this")


def test_a_package_without_fitting_wheel_and_source_is_named(requirements, tmp_path):
    only_mac = entry("acme", "1.0", "acme-1.0-cp311-cp311-macosx_11_0_arm64.whl")
    with raises(
        MlshipError, match=r"acme 1.0 has no wheel for Python 3.11 on linux/amd64, and no source; take a version of acme"
    ):
        resolve(requirements, FakeRunner(lambda command: pylock(NUMPY, only_mac)), tmp_path)


def test_a_uv_lock_that_uv_refuses_is_named(requirements, tmp_path):
    runner = FakeRunner(lambda command: Result(2, b"", b"bad") if "export" in command.argv else pylock(NUMPY))
    with raises(MlshipError, match=r"uv.lock cannot be read by uv; uv lock, then mlship build"):
        resolve(replace(requirements, exported=Path("/p/uv.lock")), runner, tmp_path)


def building(made: str, answer: bytes):
    """uv resolves to `answer`; pip, lent by uv, makes a wheel of the name `made`."""

    def run(command):
        if "tool" not in command.argv:
            return answer
        out = Path(command.argv[command.argv.index("--wheel-dir") + 1])
        out.mkdir()
        (out / made).write_bytes(b"wheel")
        return b""

    return FakeRunner(run)


GIT = "name = 'acme'\nversion = '0.3'\nvcs = { type = 'git', url = 'https://u:t@g.test/acme', commit-id = 'c0' }\n"


def test_git_is_built_to_a_wheel_that_is_locked_by_hash_and_commit(requirements, tmp_path):
    runner = building("acme-0.3-py3-none-any.whl", pylock(GIT))
    (wheel,) = resolve(requirements, runner, tmp_path).wheels
    assert wheel.origin == "git+https://g.test/acme@c0"
    assert wheel.built and wheel.built.read_bytes() == b"wheel"
    build = runner.commands[-1]
    assert build.extra_environ["SOURCE_DATE_EPOCH"] == "315532800"
    assert build.extra_environ["PIP_CONFIG_FILE"] == "/dev/null"
    before = len(runner.commands)
    resolve(requirements, runner, tmp_path)
    assert len(runner.commands) == before + 1  # resolved again, not built again


def test_a_wheel_that_was_compiled_here_does_not_go_to_another_platform(requirements, tmp_path):
    runner = building("acme-0.3-cp311-cp311-macosx_14_0_arm64.whl", pylock(GIT))
    with raises(
        FindingsError, match=r"acme 0.3 was built here as acme-0.3-cp311-cp311-macosx_14_0_arm64.whl, which does not run on"
    ):
        resolve(requirements, runner, tmp_path)


def test_a_build_that_fails_shows_its_last_lines(requirements, tmp_path):
    runner = FakeRunner(lambda command: Result(1, b"", b"gcc: not found") if "tool" in command.argv else pylock(GIT))
    with raises(
        MlshipError, match=r"acme has no wheel, and building one from git failed; install what its build needs"
    ) as caught:
        resolve(requirements, runner, tmp_path)
    assert caught.value.details == ("gcc: not found",)


def test_a_build_that_makes_no_wheel_is_a_failure(requirements, tmp_path):
    def answer(command):
        return b"" if "tool" in command.argv else pylock(GIT)

    with raises(MlshipError, match="building one from git failed") as caught:
        resolve(requirements, FakeRunner(answer), tmp_path)
    assert caught.value.details == ("its build made 0 wheels",)


def test_the_users_own_project_is_left_out(requirements, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/__init__.py").touch()
    own = f"name = 'mine'\ndirectory = {{ path = '{tmp_path}' }}\n"
    found = resolve(replace(requirements, own=("mine",)), FakeRunner(lambda command: pylock(NUMPY, own)), tmp_path)
    assert [wheel.name for wheel in found.wheels] == ["numpy"]


def choice(*names: str, tags=TAGS) -> str | None:
    best = best_wheel([{"url": f"https://x.test/{name}"} for name in names], tags)
    return best["url"].rpartition("/")[2] if best else None


@mark.parametrize(
    ("wanted", "names"),
    [
        ("a-1-cp311-cp311-manylinux_2_28_x86_64.whl", ["a-1-cp311-cp311-manylinux_2_17_x86_64.whl", "a-1-py3-none-any.whl"]),
        ("a-1-cp311-cp311-manylinux2014_x86_64.whl", ["a-1-cp38-abi3-manylinux2014_x86_64.whl", "a-1-cp311-cp311-musllinux_1_1_x86.whl"]),
        ("a-1-cp38-abi3-manylinux2014_x86_64.whl", ["a-1-py3-none-any.whl", "a-1-cp312-cp312-manylinux2014_x86_64.whl"]),
        ("a-1-2-py3-none-any.whl", ["a-1-1-py3-none-any.whl", "a-1-py3-none-any.whl"]),
        ("a-1-py2.py3-none-any.whl", ["not-a-wheel.whl", "a-1-cp311-cp311-manylinux_2_38_x86_64.whl"]),
        ("a-1-cp311-cp311-linux_x86_64.whl", ["a-1-cp311-cp311t-manylinux2014_x86_64.whl"]),
    ],
)  # fmt: skip
def test_the_wheel_with_the_best_tag_is_taken(wanted, names):
    assert choice(*names, wanted) == wanted == choice(wanted, *names)


def test_no_wheel_fits_another_machine():
    assert choice("a-1-cp311-cp311-manylinux2014_aarch64.whl", "a-1-cp311-cp311-win_amd64.whl") is None


def test_archives_and_sources_keep_where_they_came_from():
    text = pylock(
        "name = 'a'\narchive = { url = 'https://u:t@x.test/a-1.0-py3-none-any.whl?sig=1', hashes = { sha256 = 'h' } }\n",
        "name = 'b'\nversion = '2'\nsdist = { url = 'https://x.test/b-2.tar.gz', hashes = { sha256 = 'h' } }\n",
        "name = 'c'\narchive = { path = 'c-3-py3-none-any.whl' }\n",
        "name = 'd'\nversion = '4'\nvcs = { type='git', url='ssh://git@g.test/d', commit-id='c0', subdirectory='py' }\n",
    ).decode()
    found = resolved_packages(text, TAGS, Path("/p"))
    assert [(one.version, one.origin) for one in found] == [
        ("1.0", "https://x.test/a-1.0-py3-none-any.whl"),
        ("2", "b-2.tar.gz#sha256=h"),
        ("3", "file:/p/c-3-py3-none-any.whl"),
        ("4", "git+ssh://git@g.test/d@c0#subdirectory=py"),
    ]


@mark.parametrize(
    ("glibc", "name"),
    [("2.36", "manylinux_2_36"), ("2.41", "manylinux_2_40"), ("2.31", "manylinux_2_31"), ("2.30", "manylinux_2_28")],
)
def test_the_platform_is_the_newest_that_uv_knows_and_the_base_runs(glibc, name):
    assert uv_platform("linux/amd64", glibc) == f"x86_64-{name}"
    assert uv_platform("linux/arm64", glibc) == f"aarch64-{name}"
