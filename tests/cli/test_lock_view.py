from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mlship.cli.payloads import relocked
from mlship.cli.views.lock import lock_text
from mlship.flows.results import Relocked
from mlship.image.lock_changes import LockChange

X86 = ("linux/amd64",)
SSL = LockChange("system", "libssl3", "3.0.15", "3.0.17", is_security=True, platforms=X86)
NUMPY = LockChange("python", "numpy", "", "2.1.0", platforms=X86)
RESULT = Relocked(
    "churn", Path("/p/mlship.lock"), X86, "2026-11-22", (), (), (), (), 10, 23, is_written=False, is_changed=False
)


def test_what_changes_is_a_table_with_the_reasons_above_it() -> None:
    result = replace(
        RESULT,
        changes=(SSL, NUMPY),
        models=("churn (m) is aa, and bb is locked",),
        because=("numpy is new",),
        is_written=True,
        is_changed=True,
    )
    assert lock_text(result, "mlship lock", "mlship build") == (
        "  because  numpy is new\n"
        "  system  libssl3  3.0.15  ->  3.0.17  security update\n"
        "  python  numpy    -       ->  2.1.0\n"
        "  model  churn (m) is aa, and bb is locked\n"
        "Locked churn: 10 Python packages and 23 of the system, of 2026-11-22; 2 packages changed, 1 of them a security update, 1 model\n"
        "Next: mlship build, and commit mlship.lock"
    )
    assert relocked(result)["changes"][0]["is_security"] is True


def test_nothing_is_written_where_it_is_only_shown() -> None:
    shown = replace(RESULT, changes=(SSL,), is_changed=True)
    assert lock_text(shown, "mlship lock --refresh", "").endswith(
        "Nothing is written: 1 package changed, 1 of them a security update\nNext: mlship lock --refresh"
    )
    other = replace(shown, platforms=("linux/amd64", "linux/arm64"))
    assert "security update  linux/amd64" in lock_text(other, "", "")


def test_a_lock_that_fits_and_one_that_is_confirmed_are_told_apart() -> None:
    assert lock_text(RESULT, "", "") == (
        "Nothing to do: mlship.lock fits  10 Python packages and 23 of the system, of 2026-11-22"
    )
    assert "; nothing newer\n" in lock_text(replace(RESULT, is_written=True), "", "mlship build")
