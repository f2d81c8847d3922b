"""What `check` can tell of a requirements file before anything is resolved."""

from pathlib import Path

import pytest

from mlship.flows.check import named_findings
from mlship.image.packages.requirements_lines import named_packages

SAVED = {"scikit-learn": "1.9.1"}


def said(text: str, tmp_path: Path) -> list[tuple[str, str]]:
    file = tmp_path / "requirements.txt"
    file.write_text(text)
    return [(found.severity, found.what) for found in named_findings(file, "requirements.txt", SAVED)]


@pytest.mark.parametrize("text", ["pandas==2.2.3\n", "", "pandas @ https://example.com/pandas.whl\n", "# scikit-learn\n"])
def test_a_package_that_is_not_named_is_a_warning(text: str, tmp_path: Path):
    assert said(text, tmp_path) == [
        (
            "warning",
            "the model was saved with scikit-learn 1.9.1; requirements.txt does not name it, "
            "and a build refuses that unless another package brings it",
        )
    ]


def test_another_version_is_the_error_that_a_build_would_end_with(tmp_path: Path):
    assert said("Scikit_Learn[x]==1.4.2 --hash=sha256:00\n", tmp_path) == [
        ("error", "the model was saved with scikit-learn 1.9.1; requirements.txt has 1.4.2")
    ]


@pytest.mark.parametrize(
    "text",
    [
        "scikit-learn\n",
        "scikit-learn>=1.0,<2\n",
        "scikit-learn==1.*\n",
        "scikit-learn==1.4.2; python_version < '3.9'\n",
        "scikit-learn==1.4.2 ; python_version < '3.9'\nscikit-learn==1.9.1 ; python_version >= '3.9'\n",
        "scikit-learn ==1.9.1\n",
        "-e .\n",
        "./wheels/own.whl\n",
        "git+https://example.com/own\n",
        "-r https://example.com/others.txt\n",
    ],
)
def test_what_only_a_build_finds_out_is_left_to_it(text: str, tmp_path: Path):
    assert said(text, tmp_path) == []


def test_included_files_and_options_are_read(tmp_path: Path):
    (tmp_path / "base.txt").write_text("scikit-learn==1.9.1\n")
    file = tmp_path / "requirements.txt"
    file.write_text("--extra-index-url https://example.com/simple\n-r base.txt\nonnx\n")
    assert named_packages(file) == {"onnx": "", "scikit-learn": "1.9.1"}
