from __future__ import annotations

import errno

from mlship.cli.failures import error_text, full_disk
from mlship.errors import Exit, Finding, FindingsError, MlshipError


def test_an_error_says_what_where_and_what_to_do():
    error = MlshipError("the model is not there: model.joblib", "mlship.yaml:2:8 model", "train it, or correct the path")
    assert error_text(error) == (
        "error: the model is not there: model.joblib\n"
        "  where  mlship.yaml:2:8 model\n"
        "  fix    train it, or correct the path\n"
        "exit 2"
    )


def test_a_failed_deployment_shows_its_evidence():
    error = MlshipError(
        "r12-7f3a9c never became ready.  r11-12bd90 serves; callers saw nothing.",
        fix="mlship.yaml:9 resources.memory: 5GiB",
        exit=Exit.VERIFY_FAILED,
        details=("cause   out of memory (exit 137)", "log     loading model.joblib\n        killed"),
    )
    assert error_text(error) == (
        "FAILED  r12-7f3a9c never became ready.  r11-12bd90 serves; callers saw nothing.\n"
        "  cause   out of memory (exit 137)\n"
        "  log     loading model.joblib\n"
        "          killed\n"
        "  fix    mlship.yaml:9 resources.memory: 5GiB\n"
        "exit 6"
    )


def test_several_findings_stand_in_columns():
    error = FindingsError(
        "mlship.yaml has 2 problems",
        [
            Finding("unknown key", "mlship.yaml:7:3 scale.replica", "did you mean scale.replicas?"),
            Finding('3.10 without quotes is the number 3.1; write "3.10"', "mlship.yaml:12:11 build.python"),
        ],
    )
    assert error_text(error) == (
        "mlship.yaml has 2 problems\n"
        "  mlship.yaml:7:3    scale.replica  unknown key; did you mean scale.replicas?\n"
        '  mlship.yaml:12:11  build.python   3.10 without quotes is the number 3.1; write "3.10"\n'
        "exit 2"
    )


def test_evidence_that_the_message_tells_already_is_not_repeated():
    assert error_text(MlshipError("row 0 has 3 values", details=["row 0 has 3 values"])) == "error: row 0 has 3 values\nexit 2"


def test_a_full_disk_is_no_bug_wherever_it_shows():
    told = full_disk(OSError(errno.ENOSPC, "No space left on device", "/srv/x"))
    assert told is not None
    assert (told.what, told.where, told.exit) == (
        "nothing more can be written: No space left on device",
        "/srv/x",
        Exit.BUILD_FAILED,
    )
    assert full_disk(OSError(errno.EBADF, "Bad file descriptor")) is None
