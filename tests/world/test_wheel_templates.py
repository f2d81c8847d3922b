"""The wheel carries the templates, and the installed package finds them."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.world
def test_a_built_wheel_finds_its_templates(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("mlship-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
        shipped = {name for name in archive.namelist() if name.startswith("mlship/_templates/")}
    files = (path for path in (ROOT / "templates").rglob("*") if path.is_file() and path.parent.name != "__pycache__")
    kept = {path.relative_to(ROOT / "templates").as_posix() for path in files}
    assert shipped == {f"mlship/_templates/{name}" for name in kept}
    asked = "from mlship.templating import templates_folder; print(templates_folder())"
    found = subprocess.run(
        [sys.executable, "-c", asked],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(found.stdout.strip()) == tmp_path / "installed" / "mlship" / "_templates"
