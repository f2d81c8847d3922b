"""Build records: found by inputs and by content, never guessed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from mlship.errors import MlshipError
from mlship.image.record import BuildRecord, BuildRecords, RecordedModel

CONTENT = "sha256:" + "ab" * 32
MODEL = RecordedModel(
    "churn", "sklearn", "Pipeline", "model.joblib", 12, "cd" * 32, "2 features", ("churn",), ("churn.Rare",),
    {"scikit-learn": "1.9.1"}, ({"age": 30},), {"predictions": [1]}, {"rtol": 1e-6, "atol": 1e-9},
)  # fmt: skip
RECORD = BuildRecord("inputs", CONTENT, "churn", "linux/amd64", 0.0, "0.1.0", (MODEL,), {"workers": 0}, checks=("ok",))


def test_a_record_is_found_by_its_inputs_and_by_its_content(tmp_path: Path) -> None:
    records = BuildRecords(tmp_path)
    assert records.of_content(CONTENT) is None
    assert records.of_inputs("inputs") is None
    records.write(RECORD)
    assert records.of_content(CONTENT) == records.of_inputs("inputs") == RECORD


def test_a_record_of_a_build_for_one_platform_only_is_read_still(tmp_path: Path) -> None:
    records = BuildRecords(tmp_path)
    both = replace(RECORD, to_run_at_deploy=("churn loads",), platforms={"linux/amd64": CONTENT})
    records.write(both)
    assert records.of_content(CONTENT) == both
    path = tmp_path / "records" / f"{'ab' * 32}.json"
    document = json.loads(path.read_bytes())
    path.write_text(json.dumps({key: value for key, value in document.items() if key not in ("to_run_at_deploy", "platforms")}))
    assert records.of_content(CONTENT) == RECORD


def test_a_pointer_to_a_record_that_is_gone_is_no_build(tmp_path: Path) -> None:
    records = BuildRecords(tmp_path)
    records.write(RECORD)
    (tmp_path / "records" / f"{'ab' * 32}.json").unlink()
    assert records.of_inputs("inputs") is None


@pytest.mark.parametrize("raw", ["", "{", "{}", '{"schema": 1, "models": 3}'])
def test_a_damaged_record_says_how_to_go_on(tmp_path: Path, raw: str) -> None:
    records = BuildRecords(tmp_path)
    records.write(RECORD)
    (tmp_path / "records" / f"{'ab' * 32}.json").write_text(raw)
    with pytest.raises(MlshipError, match=r"build record is damaged; delete it and build again: rm .*\.json"):
        raise_with_fix(records)


def test_a_record_of_a_newer_mlship_is_refused(tmp_path: Path) -> None:
    records = BuildRecords(tmp_path)
    records.write(RECORD)
    (tmp_path / "records" / f"{'ab' * 32}.json").write_text(json.dumps({"schema": 2, "mlship": "7.0"}))
    with pytest.raises(MlshipError, match=r"written by mlship 7\.0; upgrade mlship"):
        raise_with_fix(records)


def raise_with_fix(records: BuildRecords) -> None:
    try:
        records.of_content(CONTENT)
    except MlshipError as error:
        raise MlshipError(f"{error.what}; {error.fix}") from None
