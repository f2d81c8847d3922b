"""Which processes count as a service's own."""

from __future__ import annotations

import os
import subprocess

import pytest

from mlship.targets.local.processes import SERVER_MARK, marked


def test_a_process_of_this_user_is_found_by_its_mark() -> None:
    mark = {SERVER_MARK: "/service"}
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=mark, bufsize=0) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(b"\n")
        assert process.stdout.read(1) == b"\n"  # it runs: Popen returns a moment before the kernel shows the environment
        assert marked("/service") == [process.pid]
        assert marked("/other") == []
        process.kill()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can start a process of another user, and read its environment")
def test_another_users_mark_does_not_count() -> None:
    """Its socket would be taken over as the service's own, and the other user could go on accepting from it."""
    with subprocess.Popen(
        ["/bin/cat"],
        stdin=subprocess.PIPE,
        env={SERVER_MARK: "/service"},
        user=65534,
        group=65534,
        extra_groups=[],
        cwd="/",
    ) as process:
        assert marked("/service") == []
        process.kill()
