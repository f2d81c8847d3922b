# ruff: noqa: E501  tables read best with one case a line
"""What the environment, the control group and inherited descriptors tell the server."""

from __future__ import annotations

import io
import os
import socket
import sys
from pathlib import Path

import pytest
from served import listener

from mlship.server import __main__ as main
from mlship.server.app import PROTOCOLS
from mlship.server.board import BUCKETS, CLASSES, HISTOGRAM, STATUSES, Board
from mlship.server.life.cores import THREADS, quota, thread_settings, usable_cores
from mlship.server.life.sockets import bound, inherited
from mlship.server.life.start import servable
from mlship.server.manifest import Manifest, ManifestError, Model, Serving
from mlship.server.probe import probe
from mlship.server.settings import SettingsError, settings_from

MODEL = Model("demo", "python", "none", "model", "")
GIVEN = {"MLSHIP_MANIFEST": "/srv/manifest.json"}


def test_the_environment_gives_the_settings() -> None:
    settings = settings_from(
        {**GIVEN, "MLSHIP_RELEASE": "r1-abcdef", "MLSHIP_HOLD": "1", "MLSHIP_ACCESS_LOG": "0.5", "MLSHIP_HOST": "::1"}
    )
    assert (settings.release, settings.hold, settings.access_log, settings.host, settings.port) == (
        "r1-abcdef",
        True,
        0.5,
        "::1",
        8080,
    )
    assert settings_from({**GIVEN, "MLSHIP_HOLD": "0"}).hold is False
    assert settings_from(GIVEN).release == "unreleased"


@pytest.mark.parametrize(
    ("environ", "port"),
    [
        ({"PORT": "1"}, 1),
        ({"AIP_HTTP_PORT": "2"}, 2),
        ({"SAGEMAKER_BIND_TO_PORT": "3"}, 3),
        ({"PORT": "", "AIP_HTTP_PORT": "4"}, 4),
        ({}, 8080),
    ],
)
def test_the_port_is_the_first_that_a_platform_gives(environ: dict[str, str], port: int) -> None:
    assert settings_from({**GIVEN, **environ}).port == port


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"MLSHIP_MANIFEST": ""}, "MLSHIP_MANIFEST is not set; give the path of manifest.json"),
        ({"PORT": "http"}, "PORT is 'http'; write a port between 0 and 65535"),
        ({"PORT": "70000"}, "PORT is '70000'; write a port between 0 and 65535"),
        (
            {"MLSHIP_RELEASE": "a\r\nb"},
            "MLSHIP_RELEASE is 'a\\r\\nb'; a release has letters, digits, dot, dash and underscore only",
        ),
        ({"MLSHIP_DRAIN_DELAY_S": "soon"}, "MLSHIP_DRAIN_DELAY_S is 'soon'; write seconds between 0 and 86400"),
        ({"MLSHIP_DRAIN_TIMEOUT_S": "-1"}, "MLSHIP_DRAIN_TIMEOUT_S is '-1'; write seconds between 0 and 86400"),
        ({"MLSHIP_STUCK_S": "nan"}, "MLSHIP_STUCK_S is 'nan'; write seconds between 0 and 86400"),
        ({"MLSHIP_ACCESS_LOG": "2"}, "MLSHIP_ACCESS_LOG is '2'; write 0 (off), 1 (all) or a share such as 0.01"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_with_what_to_write(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings_from({**GIVEN, **environ})
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("models", "protocols", "message"),
    [
        ((), ("native",), "manifest.json names no model; build the image again"),
        (
            (MODEL,),
            ("native", "v3"),
            f"manifest.json asks for the protocol v3, which this server does not speak; it speaks {', '.join(PROTOCOLS)}",
        ),
    ],
)
def test_a_manifest_that_cannot_be_served_is_refused(
    models: tuple[Model, ...], protocols: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ManifestError) as caught:
        servable(Manifest("demo", models, Serving(protocols)))
    assert str(caught.value) == message
    assert servable(Manifest("demo", (MODEL,))).project == "demo"


def test_a_taken_port_is_named(capfd: pytest.CaptureFixture[str]) -> None:
    with listener() as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1 port {port}: .*in use; set PORT to a free one"):
            bound("127.0.0.1", port)


@pytest.mark.parametrize(
    ("files", "membership", "cores"),
    [
        ({"cpu.max": "150000 100000\n"}, "0::/\n", 1.5),
        ({"cpu.max": "max 100000\n"}, "0::/\n", None),
        ({"cpu.max": "max 100000\n", "a/cpu.max": "400000 100000", "a/b/cpu.max": "max 100000"}, "0::/a/b\n", 4.0),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, "4:cpu,cpuacct:/docker/x\n", 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, "", None),
        ({"cpu,cpuacct/docker/x/cpu.cfs_quota_us": "200000", "cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000"}, "4:cpu,cpuacct:/docker/x\n", 2.0),
        ({"cpu.max": "garbage"}, "garbage", None),
        ({}, "", None),
    ],
)  # fmt: skip
def test_the_quota_is_read_from_both_versions_of_control_groups(
    tmp_path: Path, files: dict[str, str], membership: str, cores: float | None
) -> None:
    for name, text in files.items():
        (tmp_path / "fs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "fs" / name).write_text(text)
    (tmp_path / "cgroup").write_text(membership)
    assert quota(tmp_path / "fs", tmp_path / "cgroup") == cores
    assert 1 <= usable_cores(tmp_path / "fs", tmp_path / "cgroup") <= max(2, os.cpu_count() or 1)


def test_thread_pools_share_the_cores_and_what_is_set_stays() -> None:
    assert thread_settings(8, 2, {}) == dict.fromkeys(THREADS, "4")
    assert thread_settings(2, 8, {"OMP_NUM_THREADS": "3"}) == dict.fromkeys(THREADS[1:], "1")


def test_descriptors_of_another_process_are_not_taken() -> None:
    environ = {"LISTEN_FDS": "1", "LISTEN_PID": "1"}
    assert inherited(environ) == []
    assert environ == {}


@pytest.mark.parametrize("count", ["x", "0", "-1", "100"])
def test_a_wrong_count_of_descriptors_is_named(count: str) -> None:
    with pytest.raises(SettingsError, match=f"LISTEN_FDS is '{count}'; write how many sockets are handed over"):
        inherited({"LISTEN_FDS": count})


def test_the_board_adds_up_what_each_worker_counts() -> None:
    board = Board(2, 3)
    for index, status in ((0, 200), (1, 200), (1, 500), (1, 302)):
        board.slot(index).count_request(2, status, BUCKETS[3])
    board.slot(0).count_batch(3, 7, 0.02, 0.1)
    counts = [sum(column) for column in zip(*(slot.requests(2) for slot in board.slots()), strict=True)]
    assert (counts[STATUSES.index(200)], counts[STATUSES.index(500)], counts[-1]) == (2, 1, 1)
    assert [board.slot(1).latencies(2, kind)[3] for kind in range(len(CLASSES))] == [1, 1, 0, 1]
    assert len(board.slot(0).model_times()) == HISTOGRAM
    assert board.slot(1).requests(1) == [0] * (len(STATUSES) + 1)


def test_a_successor_in_a_slot_goes_on_counting() -> None:
    slot = Board(1, 1).slot(0)
    slot.cells[2] = 5.0
    slot.count_request(0, 200, 0.001)
    slot.reset()
    assert (slot.cells[2], slot.requests(0)[0]) == (0.0, 1.0)


def test_an_unknown_command_shows_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["fly"]) == 2
    assert (
        capsys.readouterr().err == "unknown: fly; usage: python -m mlship.server [serve | batch | health | probe [path] [-]]\n"
    )


def test_the_probe_says_that_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert probe(["/readyz"], {"PORT": str(free.getsockname()[1])}) == 1
    assert '"status": 0' in capsys.readouterr().out


def test_the_servers_own_packages_are_pinned_exactly() -> None:
    lines = Path(main.__file__).with_name("packages.txt").read_text().splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(version for _, version in pins)
    always = sorted(name for name, version in pins if "only with" not in version)
    assert always == ["httptools", "orjson", "prometheus_client", "pysimdjson", "uvloop"]


def test_closed_streams_do_not_stop_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlship.server.monitoring import log

    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    log.event("info", "nothing")
