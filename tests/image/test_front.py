"""The front's image as values: what names it, how it starts, what is left out of it."""

from __future__ import annotations

import re
from datetime import date

import pytest

from mlship.errors import MlshipError
from mlship.home import Home
from mlship.image import front
from mlship.image.plan import BasePlan, SystemPackage
from mlship.image.workplace import Workplace
from mlship.oci.image import FRONT_HAS, FRONT_LABEL, FRONT_MADE, FRONT_PACKAGES
from mlship.oci.layer import write_layer
from mlship.progress import Silent
from mlship.runner import LocalRunner

HERE = "linux/amd64"


@pytest.fixture
def workplace(tmp_path) -> Workplace:
    return Workplace(Home(tmp_path), LocalRunner(), Silent(), {})


def no_archive():
    raise MlshipError("the archive was asked")


def test_the_key_is_short_and_stays_while_the_keeper_does():
    assert re.fullmatch(r"[0-9a-f]{12}", front.front_key())
    assert front.front_key() == front.front_key()


def test_the_key_changes_with_the_recipe(monkeypatch):
    before = front.front_key()
    monkeypatch.setattr(front, "FRONT", front.FRONT + 1)
    assert front.front_key() != before


def test_the_keeper_comes_whole_and_names_no_version():
    sources = {entry.path: entry for entry in front.keeper_sources()}
    assert "opt/mlship/lib/mlship/keeper/__main__.py" in sources
    assert all(path.startswith("opt/mlship/lib/mlship/keeper") for path in sources if not path.endswith("mlship/__init__.py"))
    package = sources["opt/mlship/lib/mlship/__init__.py"]
    assert (package.source, package.content) == (None, b"")


def test_it_starts_the_keeper_as_the_user_without_rights():
    config = front.front_config("/usr/bin/python3.13", "abc", {FRONT_HAS: "HAProxy 3"})
    assert config.entrypoint == ("/usr/bin/python3.13", "-s", "-S", "-P", "-m", "mlship.keeper")
    assert (config.cmd, config.user) == (("front", "/state"), "65532:65532")
    assert config.env == {"PYTHONPATH": "/opt/mlship/lib", "PYTHONDONTWRITEBYTECODE": "1"}
    assert (config.labels[FRONT_LABEL], config.labels[FRONT_HAS]) == ("abc", "HAProxy 3")


def test_its_labels_tell_what_callers_meet_and_name_all_its_packages():
    told = front.about(plan("libssl3 3.0.22-1", "haproxy 2.6.12-1", "libc6 2.36-9"), date(2026, 11, 22))
    assert told[FRONT_HAS] == "HAProxy 2.6.12-1, OpenSSL 3.0.22-1"
    assert told[FRONT_MADE] == "2026-11-22"
    other = front.about(plan("haproxy 2.6.12-1", "libc6 2.36-10", "libssl3 3.0.22-1"), date(2026, 11, 22))
    same = front.about(plan("haproxy 2.6.12-1", "libc6 2.36-9", "libssl3 3.0.22-1"), date(2026, 12, 1))
    assert same[FRONT_PACKAGES] == told[FRONT_PACKAGES] != other[FRONT_PACKAGES]


def test_of_several_that_are_here_the_newest_is_used(workplace):
    layer = write_layer(workplace.layout, front.keeper_sources(), role="server", name="keeper")
    made = [
        workplace.layout.write_image((layer,), {"Labels": {FRONT_LABEL: front.front_key(), FRONT_MADE: day}}, HERE)
        for day in ("2026-11-20", "2026-11-22", "2026-11-21")
    ]
    assert front.front_image(workplace, no_archive, HERE).content == made[1].content
    with pytest.raises(MlshipError, match="the archive was asked"):
        front.new_front_image(workplace, no_archive, HERE)


def plan(*packages: str) -> BasePlan:
    listed = [SystemPackage(*text.split(), "0" * 64, 1, "") for text in packages]
    return BasePlan("bookworm", HERE, "/usr/bin/python3.11", tuple(listed))


def test_one_that_is_here_is_used_again_and_no_archive_is_asked(workplace):
    layer = write_layer(workplace.layout, front.keeper_sources(), role="server", name="keeper")
    config = {"Labels": {FRONT_LABEL: front.front_key()}}
    made = workplace.layout.write_image((layer,), config, HERE)
    assert front.front_image(workplace, no_archive, HERE).content == made.content
    with pytest.raises(MlshipError, match="the archive was asked"):
        front.front_image(workplace, no_archive, "linux/arm64")


def test_one_whose_blobs_are_gone_is_made_again(workplace):
    layer = write_layer(workplace.layout, front.keeper_sources(), role="server", name="keeper")
    workplace.layout.write_image((layer,), {"Labels": {FRONT_LABEL: front.front_key()}}, HERE)
    workplace.layout.path(layer.blob.digest).unlink()
    with pytest.raises(MlshipError, match="the archive was asked"):
        front.front_image(workplace, no_archive, HERE)


@pytest.mark.parametrize(
    "path",
    [
        "usr/sbin/halog",
        "etc/haproxy/haproxy.cfg",
        "usr/lib/python3.13/asyncio/tasks.py",
        "usr/lib/python3.11/__pycache__/turtle.cpython-311.pyc",
        "usr/lib/python3.11/lib-dynload/_sqlite3.cpython-311-x86_64-linux-gnu.so",
        "usr/lib/x86_64-linux-gnu/libsqlite3.so.0.8.6",
        "usr/lib/aarch64-linux-gnu/libkrb5.so.3",
    ],
)
def test_what_nothing_in_it_loads_is_left_out(path):
    assert re.match(front._NEEDLESS, path)


@pytest.mark.parametrize(
    "path",
    [
        "usr/sbin/haproxy",
        "usr/lib/python3.13/pathlib/_local.py",
        "usr/lib/python3.11/json/decoder.py",
        "usr/lib/python3.11/lib-dynload/_json.cpython-311-x86_64-linux-gnu.so",
        "usr/lib/x86_64-linux-gnu/libssl.so.3",
        "usr/lib/x86_64-linux-gnu/liblua5.3.so.0",
        "usr/lib/x86_64-linux-gnu/libopentracing-c-wrapper.so.0",
        "var/lib/dpkg/status.d/haproxy",
    ],
)
def test_what_is_needed_stays(path):
    assert not re.match(front._NEEDLESS, path)
