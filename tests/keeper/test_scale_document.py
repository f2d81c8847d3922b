"""/state/scale.json: written under the lease, and never believed unread."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from mlship.keeper.__main__ import answer, operations
from mlship.keeper.records import Records
from mlship.keeper.scale_document import ScaleDocument, scale_from
from mlship.keeper.scaling import Policy
from mlship.keeper.state import Damaged, Newer

DOCUMENT: dict[str, Any] = {
    "schema": 1,
    "release": "r1-0a1b2c",
    "replicas": {"min": 1, "max": 3},
    "metric": "rps",
    "per_replica": None,
    "down_after_s": 300.0,
    "startup_timeout_s": 60,
    "network": "mlship-churn.prod",
    "front": "mlship-churn.prod-front",
    "prefix": "mlship-churn.prod-",
    "port": 8080,
    "body": {
        "Image": "mlship/churn:c41e07f2a9b3",
        "StopTimeout": 12,
        "Labels": {
            "mlship.project": "churn", "mlship.env": "prod", "mlship.role": "replica", "mlship.release": "r1-0a1b2c",
            "mlship.spec": "0123456789ab",
        },
        "HostConfig": {"Memory": 2**30, "NanoCpus": 1_500_000_000},
    },
}  # fmt: skip


def test_it_tells_the_range_and_what_a_replica_is() -> None:
    scale = scale_from(json.dumps(DOCUMENT))
    assert scale.policy == Policy(1, 3, "rps", 50.0, 300.0, 1.5)
    assert (scale.memory, scale.stop_timeout_s, scale.port) == (2**30, 12, 8080)
    assert scale.labels == (
        "mlship.project=churn", "mlship.env=prod", "mlship.role=replica", "mlship.release=r1-0a1b2c",
    )  # fmt: skip
    assert [scale.server(2), scale.number("r1-0a1b2c-2")] == ["r1-0a1b2c-2", 2]
    assert [scale.number(name) for name in ("r1-0a1b2c", "r2-0a1b2c-1", "r1-0a1b2c-x")] == [0, 0, 0]


def test_what_the_file_says_counts_before_the_default() -> None:
    assert scale_from(json.dumps({**DOCUMENT, "per_replica": 12.5})).policy.per_replica == 12.5


@pytest.mark.parametrize(
    ("path", "value", "why"),
    [
        (("replicas",), {"min": 3, "max": 1}, r"replicas 3\.\.1 is no range"),
        (("replicas",), {"min": 0, "max": 1}, r"replicas 0\.\.1 is no range"),
        (("replicas",), {"min": True, "max": 1}, "is no range"),
        (("replicas",), 3, "missing or of another kind"),
        (("metric",), "gpu", "metric 'gpu' is none of"),
        (("per_replica",), 0, "per_replica is 0"),
        (("per_replica",), "8", "per_replica is '8'"),
        (("down_after_s",), -1, "down_after_s is -1"),
        (("startup_timeout_s",), float("inf"), "startup_timeout_s is inf"),
        (("release",), "../r1", "release is '../r1'"),
        (("front",), "a b", "front is 'a b'"),
        (("network",), None, "network is None"),
        (("body", "HostConfig", "Memory"), 0, "body.HostConfig.Memory is 0"),
        (("body", "HostConfig", "NanoCpus"), "1", "NanoCpus is '1'"),
        (("body", "Labels", "mlship.role"), "front", "the labels of body are not those of a replica"),
        (("body", "Labels", "mlship.release"), "r9-0a1b2c", "the labels of body are not those of a replica"),
        (("body",), None, "missing or of another kind"),
    ],
)
def test_what_cannot_be_right_is_refused(path: tuple[str, ...], value: Any, why: str) -> None:
    document = copy.deepcopy(DOCUMENT)
    inner = document
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    with pytest.raises(Damaged, match=why):
        scale_from(json.dumps(document))


@pytest.mark.parametrize("name", list(DOCUMENT))
def test_no_key_may_be_missing(name: str) -> None:
    with pytest.raises(Damaged):
        scale_from(json.dumps({key: value for key, value in DOCUMENT.items() if key != name}))


def test_one_of_a_newer_version_is_not_guessed_at() -> None:
    with pytest.raises(Newer):
        scale_from(json.dumps({**DOCUMENT, "schema": 2}))


def test_the_keeper_writes_it_under_the_lease_only(tmp_path: Path) -> None:
    known = operations(tmp_path)

    def said(request: dict[str, Any]) -> Any:
        return answer({"op": "scale_set", **request}, known)

    document = ScaleDocument(tmp_path, Records(tmp_path))
    assert document.read() is None
    assert said({"scale": {**DOCUMENT, "metric": "gpu"}})["code"] == "invalid"
    assert said({"scale": DOCUMENT}) == {"ok": True}
    assert said({"scale": DOCUMENT}) == {"ok": True}
    written = document.read()
    assert written is not None and written.release == "r1-0a1b2c"
    assert (tmp_path / "scale.json").stat().st_mode & 0o777 == 0o600
    answer({"op": "acquire", "token": "other", "holder": "anna", "ttl_s": 30}, known)
    assert said({"scale": None, "token": "mine"})["code"] == "lease-lost"
    assert said({"scale": None, "token": "other"}) == {"ok": True}
    assert document.read() is None
