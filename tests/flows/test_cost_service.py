"""A service that the estimate's target does not have."""

from pathlib import Path

import pytest

from mlship.cli.arguments import Invocation
from mlship.cli.session import run_command


@pytest.mark.parametrize(
    ("said", "fix"), [("--service ecs", "add --target aws"), ("--target gcp --service cloud-rum", "did you mean cloud-run?")]
)
def test_a_service_of_another_target_is_led_there(
    said: str, fix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "mlship.yaml").write_text("name: churn\nmodel: a.joblib\n")
    monkeypatch.chdir(tmp_path)
    assert run_command(Invocation.from_argv(["cost-estimate", *said.split()])) == 2
    assert f"  fix    {fix}\n" in capsys.readouterr().err
