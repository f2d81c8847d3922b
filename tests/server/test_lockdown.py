"""The walls around a model that is inspected: tried from inside, in a process of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mlship.server.lockdown import _MACHINES, filter_program

INSIDE = """
import ctypes, fcntl, json, os, resource, socket, sys, threading
from pathlib import Path
from mlship.server.lockdown import Limits, lock_down
folder = Path(sys.argv[1])
outside = folder.parent / "outside"
took = lock_down(Limits(memory=256 * 2**20, cpu_s=20), folder)
libc = ctypes.CDLL(None)

def tried(action):
    try:
        return repr(action())
    except BaseException as error:
        return type(error).__name__

def in_thread():
    done = []
    thread = threading.Thread(target=lambda: done.append(1))
    thread.start(); thread.join()
    return done

print(json.dumps({
    "took": took,
    "internet socket": tried(lambda: socket.socket().fileno() >= 0),
    "socket below Python": libc.socket(2, 1, 0),
    "local socket": tried(lambda: socket.socket(socket.AF_UNIX)),
    "socket pair of datagrams": tried(lambda: socket.socketpair(type=socket.SOCK_DGRAM)),
    "socket pair": tried(lambda: len(socket.socketpair())),
    "program": tried(lambda: os.system("true")),
    "program below Python": libc.system(b"true"),
    "process below Python": libc.fork(),
    "signal to the parent": libc.kill(os.getppid(), 0),
    "write outside": tried(lambda: open(outside, "w")),
    "write outside below Python": libc.creat(str(outside).encode(), 0o644),
    "remove outside": tried(lambda: os.remove(__file__)),
    "write inside": tried(lambda: (folder / "x").write_text("1")),
    "memory": tried(lambda: len(bytearray(2**30))),
    "thread": tried(in_thread),
    "mode outside below Python": libc.chmod(str(folder.parent).encode(), 0o777),
    "time outside": tried(lambda: os.utime(folder.parent)),
    "a device": tried(lambda: os.mknod(folder / "disk", 0o60600, os.makedev(8, 0))),
    "a pipe": tried(lambda: os.mkfifo(folder / "pipe")),
    "limits of the parent": tried(lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (5, 5))),
    "own limits": tried(lambda: len(resource.getrlimit(resource.RLIMIT_NOFILE))),
    "typing into a terminal": tried(lambda: fcntl.ioctl(0, 0x5412, b"x")),
    "asking a terminal": tried(lambda: os.isatty(0)),
    "read": tried(lambda: len(Path("/proc/self/status").read_bytes()) > 0),
}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's walls are Linux's")
def test_a_locked_down_process_can_compute_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "writable"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", INSIDE.replace("__file__", repr(str(tmp_path / "x"))), str(folder)], capture_output=True
    )
    told = json.loads(done.stdout)
    assert {"limits", "no-new-privileges", "system-calls", "audit-hook"} <= set(told.pop("took"))
    assert told == {
        "internet socket": "PermissionError",
        "socket below Python": -1,
        "local socket": "PermissionError",
        "socket pair of datagrams": "PermissionError",
        "socket pair": "2",
        "program": "PermissionError",
        "program below Python": told["program below Python"],
        "process below Python": -1,
        "signal to the parent": -1,
        "write outside": "PermissionError",
        "write outside below Python": told["write outside below Python"],
        "remove outside": "PermissionError",
        "write inside": "1",
        "memory": "MemoryError",
        "thread": "[1]",
        "mode outside below Python": -1,
        "time outside": "PermissionError",
        "a device": "PermissionError",
        "a pipe": "PermissionError",
        "limits of the parent": "PermissionError",
        "own limits": "2",
        "typing into a terminal": "PermissionError",
        "asking a terminal": "False",
        "read": "True",
    }
    assert told["program below Python"] != 0
    assert not (tmp_path / "outside").exists() or told["write outside below Python"] != -1


@pytest.mark.parametrize("machine", _MACHINES)
def test_the_filter_decides_as_it_says(machine: str) -> None:
    """The program is run here by a few lines that know classic BPF."""
    numbers = _MACHINES[machine]
    program = filter_program(numbers, pid=77)

    def decided(number: int, argument: int = 0, second: int = 0, audit: int = numbers.audit) -> str:
        data = {0: number, 4: audit, 16: argument, 24: second}
        value, at = 0, 0
        while True:
            code, yes, no, operand = program[at]
            at += 1
            if code == 0x20:
                value = data[operand]
            elif code == 0x06:
                return {0x7FFF0000: "allow", 0x00050001: "refuse", 0x00050026: "no such call"}[operand]
            else:
                holds = {0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)}[code]
                at += yes if holds else no

    assert decided(numbers.socketpair, 1, 0o2000001) == "allow" and decided(numbers.socketpair, 1, 2) == "refuse"
    assert decided(numbers.socketpair, 1, 5) == "refuse"
    assert decided(numbers.clone, 0x10000) == "allow" and decided(numbers.clone, 17) == "refuse"
    for number in numbers.own:
        assert decided(number, 77) == "allow" and decided(number, 1) == "refuse"
    for number in numbers.unnamed:
        assert decided(number, 0) == "allow" and decided(number, 1) == "refuse"
    for request, answer in ((0x5412, "refuse"), (0x541C, "refuse"), (0x5401, "allow")):
        assert decided(numbers.ioctl, second=request) == answer
    assert decided(numbers.clone3) == "no such call"
    assert {decided(number) for number in numbers.refused} == {"refuse"} and len(set(numbers.refused)) == len(numbers.refused)
    assert decided(0) == "allow" and decided(0, audit=0x40000003) == "refuse" and decided(0x40000000) == "refuse"
