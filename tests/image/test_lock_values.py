"""The age of a lock, what changed between two, and requirements as lines."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pytest import raises

from mlship.errors import MlshipError
from mlship.image.lock import Lock
from mlship.image.lock_age import age_findings, today
from mlship.image.lock_changes import LockChange, lock_changes, together
from mlship.image.packages.asked import asked_lines
from mlship.image.packages.environment import Distribution
from mlship.image.packages.requirements_files import Requirements
from mlship.image.plan import BaseImage, SystemPackage, Wheel

NOW = 1_795_000_000.0  # 2026-11-18
SSL, ZLIB = (SystemPackage(name, "1", "a" * 64, 1, "") for name in ("libssl3", "zlib1g"))
LOCK = Lock("3.11", "linux/amd64", "bookworm", (SSL, ZLIB), (Wheel("numpy", "2.1.0", "b" * 64),), "i", made="2026-10-19")


def test_the_day_is_the_clocks_or_source_date_epochs() -> None:
    assert today(NOW, {}) == "2026-11-18"
    assert today(NOW, {"SOURCE_DATE_EPOCH": "0"}) == "1970-01-01"
    with raises(MlshipError, match="SOURCE_DATE_EPOCH is 'soon'"):
        today(NOW, {"SOURCE_DATE_EPOCH": "soon"})


def test_a_lock_older_than_thirty_days_is_warned_of_once() -> None:
    assert age_findings((LOCK, replace(LOCK, made="")), "2026-11-18") == ()
    (finding,) = age_findings((LOCK, replace(LOCK, platform="linux/arm64", made="2026-10-18")), "2026-11-18")
    assert finding.severity == "warning"
    assert finding.what == "the packages of mlship.lock are 31 days old; security updates may have come since"
    assert "mlship lock --refresh" in finding.fix


def test_what_changed_is_told_by_version_security_updates_first() -> None:
    newer = replace(
        LOCK,
        system=(replace(SSL, version="2"), SystemPackage("libgomp1", "12", "c" * 64, 1, "")),
        wheels=(replace(LOCK.wheels[0], sha256="d" * 64),),
        server=(Wheel("orjson", "3", "e" * 64),),
    )
    x86 = ("linux/amd64",)
    changes = lock_changes(LOCK, newer, security=("libssl3",))
    assert changes == (
        LockChange("system", "libssl3", "1", "2", is_security=True, platforms=x86),
        LockChange("system", "libgomp1", "", "12", platforms=x86),
        LockChange("system", "zlib1g", "1", "", platforms=x86),
        LockChange("python", "numpy", "2.1.0 bbbbbbbb", "2.1.0 dddddddd", platforms=x86),
        LockChange("server", "orjson", "", "3", platforms=x86),
    )
    assert lock_changes(LOCK, replace(LOCK, made="2026-11-18")) == ()
    image = BaseImage("r.example.test/python:3.11", f"sha256:{'f' * 64}", (), "/usr/bin/python3.11", "2.36")
    (base,) = lock_changes(replace(LOCK, system=()), replace(LOCK, system=(), base=image))
    assert (base.before, base.after) == ("debian bookworm", "r.example.test/python:3.11 sha256:ffffffffffff")


def test_the_same_change_on_two_platforms_is_one() -> None:
    change = LockChange("python", "numpy", "1", "2", platforms=("linux/amd64",))
    (both,) = together((change, replace(change, platforms=("linux/arm64",))))
    assert both.platforms == ("linux/amd64", "linux/arm64")


def test_requirements_are_lines_by_name_without_secrets_hashes_and_paths(tmp_path: Path) -> None:
    (tmp_path / "more.txt").write_text("scipy<2\n")
    (tmp_path / "r.txt").write_text(
        "# packages\n-r more.txt\n--extra-index-url https://u:tok3n@x.example.test/\nNumPy >= 2 --hash=sha256:ab\n"
        'acme @ https://u:tok3n@x.example.test/acme.whl\npywin32 ; sys_platform == "win32"\n./folder\n'
    )
    own = Distribution("Own", "1", origin=f"file:{tmp_path}/own")
    found = asked_lines(Requirements("r.txt", tmp_path, files=(tmp_path / "r.txt",), lines=("pandas==2",), unindexed=(own,)))
    assert found == (
        "acme @ https://x.example.test/acme.whl",
        "numpy>= 2",
        "own @ file:own",
        "pandas==2",
        'pywin32 ; sys_platform == "win32"',
        "scipy<2",
    )


def test_the_files_of_poetry_uv_and_pip_tell_their_packages(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text(
        '[[package]]\nname = "numpy"\nversion = "2.1.0"\nsource = {registry = "https://x.example.test"}\n'
        '[[package]]\nname = "shop"\nversion = "0.1"\nsource = {editable = "."}\n'
    )
    assert asked_lines(Requirements("uv.lock", tmp_path, exported=tmp_path / "uv.lock")) == ("numpy==2.1.0",)
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["numpy>=2"]\n[tool.poetry.dependencies]\npython = "^3.11"\npandas = {version = "^2"}\n'
    )
    assert asked_lines(Requirements("p", tmp_path, files=(tmp_path / "pyproject.toml",))) == ("numpy>=2", "pandas^2")
