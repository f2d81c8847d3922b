"""What a platform refuses is never the release's fault, and what it denies ends with exit 8."""

from __future__ import annotations

from mlship.errors import Exit, MlshipError
from mlship.targets.failing import of_target


def test_a_denial_or_a_quota_ends_with_exit_8_and_blames_no_release() -> None:
    denied = of_target(MlshipError("Quota exceeded", details=("12 of 12 vCPUs",), exit=Exit.DENIED))
    assert (denied.ok, denied.fault, denied.exit, denied.evidence) == (False, "target", Exit.DENIED, ("12 of 12 vCPUs",))
    silent = of_target(MlshipError("nobody answers", exit=Exit.UNREACHABLE))
    assert (silent.ok, silent.fault, silent.exit, silent.cause) == (False, "target", None, "nobody answers")
