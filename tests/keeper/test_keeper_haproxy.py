"""What HAProxy 2.6 says, word for word, and what is made of it."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from mlship.keeper.haproxy import Master, Processes, Silent, about, processes, rows

PROCESSES = """\
#<PID>          <type>          <reloads>       <uptime>        <version>      
13019           master          3 [failed: 0]   1d02h03m04s     2.6.12-1+deb12u4
# workers
17281           worker          0               0d00h00m01s     2.6.12-1+deb12u4
# old workers
13385           worker          1               0d00h02m53s     2.6.12-1+deb12u4
13064           worker          2               0d00h03m53s     2.6.12-1+deb12u4
# programs

"""  # noqa: W291
STATISTICS = """\
# pxname,svname,qcur,scur,req_tot,addr,
callers,FRONTEND,,1,2,,
model,r1-abcdef-1,0,0,2,172.20.0.2:8080,

"""


def test_show_proc_tells_the_worker_from_the_old_ones() -> None:
    assert processes(PROCESSES) == Processes(worker=17281, old=(13385, 13064), reloads=3, failed=0, uptime_s=93784)


def test_a_failed_reload_shows() -> None:
    assert processes(PROCESSES.replace("[failed: 0]", "[failed: 2]")).failed == 2


@pytest.mark.parametrize("said", ["", "\n", "Unknown command", PROCESSES.split("# workers")[0], "1 worker 0 0d00h00m01s 2.6"])
def test_what_names_no_worker_is_no_answer(said: str) -> None:
    with pytest.raises(Silent, match="knows no worker"):
        processes(said)


def test_show_stat_is_read_by_its_column_names() -> None:
    assert [(row["pxname"], row["svname"], row["req_tot"], row["addr"]) for row in rows(STATISTICS)] == [
        ("callers", "FRONTEND", "2", ""),
        ("model", "r1-abcdef-1", "2", "172.20.0.2:8080"),
    ]
    assert rows("\n") == []
    with pytest.raises(Silent, match="the counters cannot be read"):
        rows("Permission denied")


def test_show_info_is_read_by_its_names() -> None:
    assert about("Name: HAProxy\nPid: 7\ndescription: a:b\n\n") == {"Name": "HAProxy", "Pid": "7", "description": "a:b"}


def test_where_nothing_listens_haproxy_does_not_run(tmp_path: Path) -> None:
    assert Master(tmp_path / "none.sock").processes() is None
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "left.sock"))
    assert Master(tmp_path / "left.sock").processes() is None


def test_what_is_no_socket_is_not_spoken_to(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for name in ("file", "link"):
        with pytest.raises(Silent, match=f"{name} is not a socket"):
            Master(tmp_path / name).about(1)


def test_a_worker_that_is_gone_has_no_counters(tmp_path: Path) -> None:
    path = tmp_path / "m.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        threading.Thread(
            target=_answer, args=(listening, b"Can't find the target PID matching the prefix '@!9'\n"), daemon=True
        ).start()
        assert Master(path).rows(9) == []


def test_a_weight_that_is_not_taken_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "m.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        threading.Thread(target=_answer, args=(listening, b"No such server.\n"), daemon=True).start()
        with pytest.raises(Silent, match=r"model/r1-abcdef-1 does not take the weight 5: No such server\."):
            Master(path).set_weight(9, "model", "r1-abcdef-1", 5)


def _answer(listening: socket.socket, said: bytes) -> None:
    connection, _ = listening.accept()
    with connection:
        while connection.recv(4096):
            pass
        connection.sendall(said)
