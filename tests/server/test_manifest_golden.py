"""A manifest that an earlier mlship wrote is read; what it does not say is as it was then."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlship.server.manifest import ManifestError, Serving, Tolerance, from_json, to_json

GOLDEN = Path(__file__).parent / "golden" / "manifest-schema-1.json"


def test_the_first_manifests_are_read() -> None:
    found = from_json(GOLDEN.read_bytes())
    (model,) = found.models
    assert (found.project, model.name, model.method) == ("churn", "churn", "predict_proba")
    assert model.signature.inputs[1].categories == ("Oslo", "Rome")
    assert model.tolerance == Tolerance(1e-5, 0.0)
    assert (model.outputs, model.passthrough, model.extra, model.hooks) == ({}, (), "refuse", "")
    assert found.serving == Serving(("native",), 1.5, 30.0, 1000, 2)
    assert found.serving.invocations == "sagemaker"


def test_what_is_written_is_read_again() -> None:
    found = from_json(GOLDEN.read_bytes())
    assert from_json(to_json(found)) == found


def test_a_newer_manifest_is_refused() -> None:
    with pytest.raises(ManifestError, match=r"was written by mlship 0\.1\.0; upgrade mlship"):
        from_json(GOLDEN.read_bytes().replace(b'"schema": 1', b'"schema": 2'))
