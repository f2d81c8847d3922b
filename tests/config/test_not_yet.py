"""Every key of the schema is either built or refused; nothing is ignored."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from mlship.config.load import load_project
from mlship.config.not_yet import BUILT, INSTEAD, OF_CLOUDS, PRICED_TARGETS, VALUES, is_built
from mlship.config.schema import TargetName
from mlship.config.shapes import Section
from mlship.config.validate import DOCUMENT
from mlship.errors import FindingsError


def schema_keys(shape: Section, path: tuple[str, ...] = ()) -> Iterator[str]:
    for name, key in shape.keys.items():
        yield ".".join((*path, name))
        if isinstance(key.shape, Section):
            yield from schema_keys(key.shape, (*path, name))


@pytest.mark.parametrize("table", [BUILT, VALUES, INSTEAD, OF_CLOUDS])
def test_every_name_in_the_tables_is_a_key_of_the_schema(table: object) -> None:
    assert set(table) <= set(schema_keys(DOCUMENT))  # type: ignore[call-overload]


@pytest.mark.parametrize("key", ["scale.schedule", "build.sign", "slo.availability", "public"])
def test_later_keys_are_not_built(key: str) -> None:
    assert not is_built(tuple(key.split(".")))


@pytest.mark.parametrize(
    "key",
    [
        "name",
        "serve",
        "serve.workers",
        "serve.batching.max_rows",
        "models.churn.uri",
        "targets.local.port",
        "scale.replicas.min",
        "cost.traffic.rps",
        "targets.aws.region",
        "slo.p99",
        "models.churn.golden",
        "model.holdout.min",
    ],
)
def test_built_keys_are_built(key: str) -> None:
    assert is_built(tuple(key.split(".")))


@pytest.mark.parametrize("target", get_args(TargetName))
def test_every_target_loads(target: str, tmp_path: Path) -> None:
    file = tmp_path / "mlship.yaml"
    file.write_text(f"name: churn\nmodel: a.joblib\ntarget: {target}\n")
    assert load_project(file).target == target


@pytest.mark.parametrize("target", PRICED_TARGETS)
def test_a_priced_target_may_scale_to_zero_and_name_its_gpu(target: str, tmp_path: Path) -> None:
    file = tmp_path / "mlship.yaml"
    file.write_text(
        f"name: churn\nmodel: a.joblib\ntarget: {target}\nscale: {{replicas: 0..3}}\nresources: {{gpu: {{count: 1, type: l4}}}}\n"
    )
    assert load_project(file).scale.replicas.min == 0


def test_an_estimates_file_may_leave_out_name_and_model(tmp_path: Path) -> None:
    file = tmp_path / "case.yaml"
    file.write_text("target: aws\ntargets: {aws: {region: us-east-1}}\n")
    assert load_project(file, needs_model=False).target == "aws"
    with pytest.raises(FindingsError, match="the key is missing"):
        load_project(file)


@pytest.mark.parametrize("uri", ["https://example.test/m", "file:///m"])
def test_models_from_any_url_are_not_served(uri: str, tmp_path: Path) -> None:
    file = tmp_path / "mlship.yaml"
    file.write_text(f"name: churn\nmodel: {uri}\n")
    with pytest.raises(FindingsError, match="are not served; write a path, or an address of s3, gs"):
        load_project(file)


@pytest.mark.parametrize(("service", "is_built"), [("vertex", True), ("cloud-run", False)])
def test_replicas_follow_accelerators_where_the_service_does(service: str, is_built: bool, tmp_path: Path) -> None:
    (tmp_path / "model.joblib").touch()
    file = tmp_path / "mlship.yaml"
    settings = f"{{region: us-central1, service: {service}, instance: g2-standard-4}}"
    file.write_text(
        f"name: churn\nmodel: model.joblib\ntarget: gcp\ntargets: {{gcp: {settings}}}\n"
        "scale: {replicas: 1..4, metric: gpu, per_replica: 70}\n"
    )
    if is_built:
        assert load_project(file).scale.metric == "gpu"
        return
    with pytest.raises(FindingsError, match="metric gpu is not yet built"):
        load_project(file)
