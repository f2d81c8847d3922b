"""All extras of mlship resolve in one environment: a company may need several targets at once."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from mlship.image.packages.indexes import find_indexes
from mlship.image.packages.uv_program import uv_command
from mlship.runner import LocalRunner

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.world
def test_all_extras_resolve_together(tmp_path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {name: lines for name, lines in project["optional-dependencies"].items() if name != "dev"}
    assert set(extras) == {"aws", "gcp", "azure", "kubernetes", "mlflow", "parquet", "plot", "drift"}
    wanted = tmp_path / "all.in"
    wanted.write_text("\n".join([*project["dependencies"], *(line for lines in extras.values() for line in lines)]))
    every = ("--index-strategy", "unsafe-best-match")  # as pip does: a folder of wheels does not hide what an index has
    arguments = ("pip", "compile", str(wanted), "--python-version", "3.11", "--only-binary", ":all:", "--quiet", *every)
    resolved = LocalRunner().run(uv_command(arguments, find_indexes(os.environ, tmp_path), tmp_path))
    assert resolved.ok, resolved.last_lines(20)
    assert "boto3==" in resolved.text and "pyarrow==" in resolved.text
