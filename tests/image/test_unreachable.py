from __future__ import annotations

from pathlib import Path

from pytest import mark, param, raises
from requirements_fakes import FakeRunner, workplace

from mlship.errors import Exit, MlshipError
from mlship.image.packages.requirements_files import Requirements
from mlship.image.packages.resolve import lock
from mlship.image.packages.unreachable import refuse_unreachable
from mlship.runner import Result

SENDING = """\
error: Request failed after 3 retries in 3.5s
  cause: Failed to fetch: https://u:****@x.test/simple/orjson/
  cause: error sending request for url (https://u:****@x.test/simple/orjson/)
"""
# As uv 0.13, pip 24 and git 2.39 word them.
UNREACHABLE = {
    "refused": f"{SENDING}  cause: client error (Connect)\n  cause: tcp connect error\n  cause: Connection refused (os error 111)",
    "no-such-host": f"{SENDING}  cause: client error (Connect)\n  cause: dns error\n  cause: Name or service not known",
    "silent": f"{SENDING}  cause: operation timed out",
    "proxy": f"{SENDING}  cause: client error (Connect)\n  cause: tunnel error: failed to create underlying connection",
    "certificate": f"{SENDING}  cause: client error (Connect)\n  cause: invalid peer certificate: UnknownIssuer",
    "cut": "error: Failed to fetch: http://x.test/simple/a/\n  cause: error decoding response body for url (http://x.test/simple/a/)",
    "overloaded": "error: Failed to fetch: http://x.test/simple/a/\n"
    "  cause: HTTP status server error (503 Service Unavailable) for url (http://x.test/simple/a/)",
    "older-uv": "error: Failed to fetch: `http://x.test/simple/a/`\n  Caused by: Could not connect, are you offline?",
    "pip": "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'NewConnectionError('<x>: Failed to "
    "establish a new connection: [Errno 111] Connection refused')': /simple/a/\nERROR: No matching distribution found for a==1",
    "git": "fatal: unable to access 'https://g.test/x.git/': Could not resolve host: g.test\n      [end of output]",
}
ANSWERED = {
    "absent": "error: No solution found when resolving dependencies\n  cause: Because a was not found in the package registry",
    "denied": "hint: An index URL (http://x.test/simple) could not be queried due to a lack of valid authentication credentials",
    "other-bytes": "error: Hash mismatch for `a==1`",
    "gone": "cause: HTTP status client error (404 Not Found) for url (http://x.test/a.whl)",
    "compiler": "WARNING: Retrying (Retry(total=4)) after connection broken by 'ReadTimeoutError': /simple/a/\ngcc: not found",
    "git-denied": "fatal: unable to access 'https://g.test/x.git/': The requested URL returned error: 403",
}


@mark.parametrize("said", [param(said, id=name) for name, said in UNREACHABLE.items()])
def test_nobody_who_answers_is_exit_13_whatever_the_program_calls_it(said):
    with raises(MlshipError, match="the package index cannot be reached") as caught:
        refuse_unreachable(Result(2, b"", said.encode()))
    assert caught.value.exit is Exit.UNREACHABLE
    assert caught.value.details
    with raises(MlshipError, match="cannot be reached"):
        refuse_unreachable(Result(2, said.encode(), b""))  # of a program that was followed line by line


@mark.parametrize("said", [param(said, id=name) for name, said in ANSWERED.items()])
def test_an_answer_is_not_taken_for_silence(said):
    refuse_unreachable(Result(1, b"", said.encode()))


def test_what_succeeded_in_the_end_reached_the_index():
    refuse_unreachable(Result(0, b"", UNREACHABLE["refused"].encode()))


def test_the_cause_and_the_address_are_told_without_its_login():
    with raises(MlshipError) as caught:
        refuse_unreachable(Result(2, b"", UNREACHABLE["refused"].encode()), "the source of acme")
    assert caught.value.what == "the source of acme cannot be reached: Connection refused (os error 111)"
    assert caught.value.where == "https://x.test/simple/orjson/"
    assert "https_proxy" in caught.value.fix


def test_an_index_that_cannot_be_reached_is_asked_once_and_blamed_for_no_package(tmp_path):
    runner = FakeRunner(lambda command: Result(2, b"", UNREACHABLE["silent"].encode()))
    with raises(MlshipError, match="cannot be reached: operation timed out"):
        wanted = Requirements("requirements.txt", Path("/p"), lines=("numpy==2.1.0",))
        lock(wanted, python_minor="3.11", platform="linux/amd64", glibc="2.36", **workplace(tmp_path, runner))
    assert len(runner.commands) == 1
