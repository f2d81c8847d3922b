"""xgboost's twin without GPU code, and what packages require that no server imports."""

from __future__ import annotations

from pathlib import Path

from requirements_fakes import FakeRunner, dist, environment
from test_resolve_fakes import entry, pylock, resolve

from mlship.image.packages.closure import version_findings
from mlship.image.packages.cpu_builds import for_cpus, is_for_cpus
from mlship.image.packages.requirements_files import Requirements, requirements_of
from mlship.image.packages.wheel_choice import Resolved

ASKED = Requirements(
    ".venv", Path("/p"), lines=("numpy==2.1.0", "xgboost==3.2.0"), overrides=("numpy==2.1.0", "xgboost==3.2.0")
)
NUMPY, XGBOOST, NCCL = (
    Resolved("numpy", "2.1.0", "a"),
    Resolved("xgboost", "3.2.0", "b"),
    Resolved("nvidia-nccl-cu12", "2.3", "c"),
)
TWIN = Resolved("xgboost-cpu", "3.2.0", "d")


def test_the_twin_is_asked_for_in_the_same_version() -> None:
    wanted = for_cpus(ASKED, (NUMPY, XGBOOST, NCCL))
    assert wanted is not None
    assert wanted.lines == ("numpy==2.1.0", "xgboost-cpu==3.2.0")
    assert wanted.overrides == (
        "numpy==2.1.0",
        'xgboost ; python_version < "3"',
        'nvidia-nccl-cu12 ; python_version < "3"',
        "xgboost-cpu==3.2.0",
    )
    assert wanted.digest == ASKED.digest


def test_torch_keeps_what_it_needs_of_the_cards_maker() -> None:
    wanted = for_cpus(ASKED, (XGBOOST, NCCL, Resolved("nvidia-cublas-cu12", "12", "e")))
    assert wanted is not None
    assert not any("nvidia" in line for line in wanted.overrides)


def test_what_has_no_twin_is_left_alone() -> None:
    assert for_cpus(ASKED, (NUMPY,)) is None
    assert is_for_cpus((NUMPY, TWIN))
    assert not is_for_cpus((NUMPY, Resolved("xgboost-cpu", "3.2.0", origin="xgboost_cpu-3.2.0.tar.gz#sha256=d")))
    assert not is_for_cpus((TWIN, XGBOOST))


def test_an_image_gets_the_twin_and_says_so_and_the_other_where_there_is_none(tmp_path: Path) -> None:
    here = "py3-none-manylinux_2_28_x86_64.whl"
    numpy = entry("numpy", "2.1.0", "numpy-2.1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl")
    heavy, light = (
        entry("xgboost", "3.2.0", f"xgboost-3.2.0-{here}"),
        entry("xgboost-cpu", "3.2.0", f"xgboost_cpu-3.2.0-{here}"),
    )

    def has_both(command):
        return pylock(numpy, light if "xgboost-cpu" in Path(command.argv[3]).read_text() else heavy)

    found = resolve(ASKED, FakeRunner(has_both), tmp_path)
    assert [wheel.name for wheel in found.wheels] == ["numpy", "xgboost-cpu"]
    assert [finding.code for finding in found.findings] == ["cpu-build"]
    found = resolve(ASKED, FakeRunner(lambda command: pylock(numpy, heavy)), tmp_path)
    assert [wheel.name for wheel in found.wheels] == ["numpy", "xgboost"]
    assert not found.findings


def test_what_catboost_draws_with_stays_out_unless_something_else_needs_it() -> None:
    requires = ("graphviz", "matplotlib", "numpy", "plotly")
    installed = [dist("catboost", "1.2", requires=requires), dist("own", "1", requires=("plotly",))]
    installed += [dist(name, "1") for name in requires]
    alone = requirements_of(environment(*installed), ("catboost",), project_root=Path("/p"))
    assert alone.overrides == (
        "catboost==1.2",
        "numpy==1",
        *(f'{name} ; python_version < "3"' for name in ("graphviz", "matplotlib", "plotly")),
    )
    both = requirements_of(environment(*installed), ("catboost", "own"), project_root=Path("/p"))
    assert "plotly==1" in both.overrides
    assert not any(line.startswith("plotly ;") for line in both.overrides)


def test_an_older_file_fits_where_the_library_reads_it_and_the_twin_counts() -> None:
    for found in ({"xgboost": "3.2.0"}, {"xgboost-cpu": "3.2.0"}):
        assert version_findings({"xgboost": "1.7.6"}, found, ".venv", reads_older=True) == ()
    (newer,) = version_findings({"xgboost": "3.2.0"}, {"xgboost-cpu": "2.1.4"}, ".venv", reads_older=True)
    assert newer.severity == "error"
    assert "the model was saved with xgboost 3.2.0; .venv has 2.1.4" in newer.what
