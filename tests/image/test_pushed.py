from pathlib import Path

import pytest

from mlship.errors import MlshipError
from mlship.image.pushed import PushRecord, PushRecords

CONTENT = "sha256:" + "c4" * 32
RECORD = PushRecord("r.io", "ml/churn", "1.4", "sha256:" + "d1" * 32, "oci", "oci", 1.0)


def test_every_variant_of_an_image_is_remembered_the_newest_first(tmp_path: Path) -> None:
    records = PushRecords(tmp_path)
    assert records.of_content(CONTENT) == ()
    docker = PushRecord("r.io", "ml/churn", "1.4", "sha256:" + "d2" * 32, "docker-v2s2", "docker-v2s2,gzip", 2.0)
    records.add(CONTENT, RECORD)
    records.add(CONTENT, docker)
    assert records.of_content(CONTENT) == (docker, RECORD)


def test_the_same_push_again_is_one_record(tmp_path: Path) -> None:
    records = PushRecords(tmp_path)
    again = PushRecord("r.io", "ml/churn", "1.4", RECORD.digest, "oci", "oci", 9.0)
    records.add(CONTENT, RECORD)
    records.add(CONTENT, again)
    assert records.of_content(CONTENT) == (again,)


@pytest.mark.parametrize(("text", "code"), [("{", "damaged"), ('{"schema": 1}', "damaged"), ('{"schema": 2}', "newer-records")])
def test_a_list_that_cannot_be_read_is_said(tmp_path: Path, text: str, code: str) -> None:
    PushRecords(tmp_path).add(CONTENT, RECORD)
    (path,) = (tmp_path / "records").glob("*.pushed.json")
    path.write_text(text)
    with pytest.raises(MlshipError, match="the list of pushes") as refused:
        PushRecords(tmp_path).of_content(CONTENT)
    assert (refused.value.code, refused.value.where) == (code, str(path))


def test_the_first_form_of_the_list_is_read(tmp_path: Path) -> None:
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / f"{CONTENT[7:]}.pushed.json").write_text(
        '{"schema": 1, "pushed": [{"registry": "r.io", "repository": "ml/churn", "tag": "1.4", "digest": "sha256:'
        + "d1" * 32
        + '", "kind": "oci", "variant": "oci", "when": 1.0}]}'
    )
    assert PushRecords(tmp_path).of_content(CONTENT) == (RECORD,)
