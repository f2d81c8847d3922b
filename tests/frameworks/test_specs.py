"""Model files, own code and sample become one ModelSpec; what is wrong with them is said at once."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest

from mlship.config import schema
from mlship.config.project import Project
from mlship.errors import MlshipError
from mlship.frameworks.propose import propose
from mlship.frameworks.specs import model_spec
from mlship.server.manifest import Tolerance

RARE = b"\x80\x02cchurn.features\nRare\n)\x81}V_sklearn_version\nV1.9.1\nsb."
PLAIN = b"\x80\x02csklearn.pipeline\nPipeline\n)\x81}(V_sklearn_version\nV1.5.0\nVsteps\n]ub."


def project(root: Path) -> Project:
    return Project(
        file=root / "mlship.yaml",
        name="churn",
        environment="",
        target="local",
        models=(),
        positions={"model": (2, 1), "model.code": (4, 3), "model.sample": (5, 3)},
    )


def spec_of(root: Path, **model: Any) -> Any:
    return model_spec(project(root), "churn", schema.Model(**{"uri": "model.pkl", **model}))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model.pkl").write_bytes(RARE)
    package = tmp_path / "churn"
    (package / "__pycache__").mkdir(parents=True)
    (package / "__pycache__" / "x.pyc").touch()
    (package / ".hidden").touch()
    (package / "__init__.py").touch()
    (package / "features.py").write_text("import pandas as pd\nfrom common import text\nimport os\nclass Rare: ...\n")
    (package / "words.txt").write_text("a")
    (tmp_path / "common.py").write_text("import requests\nfrom . import x\n")
    return tmp_path


def test_a_model_with_own_code_becomes_a_spec(folder: Path) -> None:
    (folder / "sample.json").write_text('{"instances": [{"a": 1}]}')
    spec, findings = spec_of(folder, code=("churn/", "common.py"), trust=("churn.features.Rare",), sample="sample.json")
    assert findings == ()
    assert (spec.framework, spec.format, spec.names) == ("sklearn", "pickle", ("churn.features.Rare",))
    assert spec.versions == {"scikit-learn": "1.9.1"}
    assert spec.modules == ("pandas", "requests", "sklearn")
    assert [file.name for file in spec.code] == ["churn/__init__.py", "churn/features.py", "churn/words.txt", "common.py"]
    assert spec.sha256 == hashlib.sha256(RARE).hexdigest() == spec.files[0].sha256
    assert spec.sample == ({"a": 1},) and spec.tolerance == Tolerance(1e-6, 1e-9)


def test_a_name_without_trust_is_a_finding_with_the_line_to_add(folder: Path) -> None:
    _, findings = spec_of(folder, code=("churn/", "common.py"))
    assert [(finding.code, finding.where) for finding in findings] == [("unknown-name", "mlship.yaml:2:1 model.uri")]
    assert "model.trust: [churn.features.Rare]" in findings[0].fix


def test_trusted_code_of_the_project_has_to_be_listed(folder: Path) -> None:
    _, findings = spec_of(folder, trust=("churn.features.Rare",))
    assert [finding.code for finding in findings] == ["missing-code"]
    assert "write code: [churn/, common.py]" in findings[0].fix and findings[0].where == "mlship.yaml:4:3 model.code"


def test_code_of_the_project_that_is_neither_trusted_nor_listed_is_no_missing_package(folder: Path) -> None:
    spec, findings = spec_of(folder)
    assert [finding.code for finding in findings] == ["unknown-name", "missing-code"]
    assert "churn" not in spec.modules


def test_init_proposes_code_and_trust_for_modules_of_the_folder_only(folder: Path) -> None:
    found = propose(folder / "model.pkl", folder)
    assert (found.code, found.trust, found.findings) == (("churn/", "common.py"), ("churn.features.Rare",), ())
    elsewhere = propose(folder / "model.pkl", folder / "churn")
    assert (elsewhere.code, elsewhere.trust) == ((), ()) and elsewhere.findings[0].code == "unknown-name"


def test_a_class_of_an_installed_package_is_trusted_by_its_name(folder: Path) -> None:
    elsewhere = propose(folder / "model.pkl", folder / "churn", ("churn.features.Rare",))
    assert (elsewhere.code, elsewhere.trust, elsewhere.findings) == ((), ("churn.features.Rare",), ())


def test_code_in_src_is_found_and_imported_under_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(RARE)
    (tmp_path / "src" / "churn").mkdir(parents=True)
    (tmp_path / "src" / "churn" / "features.py").touch()
    assert propose(tmp_path / "model.pkl", tmp_path).code == ("src/churn/",)
    spec, _ = spec_of(tmp_path, code=("src/churn/",), trust=("churn.features.Rare",))
    assert [file.name for file in spec.code] == ["churn/features.py"]


def test_a_part_of_a_package_brings_the_packages_above_it(folder: Path) -> None:
    (folder / "model.pkl").write_bytes(PLAIN)
    (folder / "churn" / "deep").mkdir()
    (folder / "churn" / "deep" / "x.py").touch()
    spec, _ = spec_of(folder, code=("churn/deep/",))
    assert [file.name for file in spec.code] == ["churn/__init__.py", "churn/deep/x.py"]


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ("missing/", "there is no missing/ in"),
        ("model.pkl", "model.pkl is no Python module"),
        ("empty/", "there is no Python module in empty/"),
        ("link.py", "link.py leads out of the project's folder"),
        ("linked/", "linked/out.py leads out of the project's folder"),
        ("looped/", "looped/loop is a link to what is no file"),
    ],
)
def test_code_that_cannot_be_taken_is_named(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, listed: str, words: str
) -> None:
    outside = tmp_path_factory.mktemp("outside") / "secret.py"
    outside.touch()
    (folder / "empty").mkdir()
    (folder / "linked").mkdir()
    (folder / "linked" / "a.py").touch()
    (folder / "linked" / "out.py").symlink_to(outside)
    (folder / "looped").mkdir()
    (folder / "looped" / "a.py").touch()
    (folder / "looped" / "loop").symlink_to(folder / "looped")
    (folder / "link.py").symlink_to(outside)
    _, findings = spec_of(folder, code=(listed, "churn/", "common.py"), trust=("churn.features.Rare",))
    assert [words in finding.what for finding in findings] == [True]


def test_a_damaged_file_is_a_finding_beside_the_others(folder: Path) -> None:
    (folder / "model.pkl").write_bytes(RARE[:-8])
    _, findings = spec_of(folder, code=("missing/",))
    assert [finding.code for finding in findings] == ["unreadable", "missing-code"]
    assert "model.pkl: the file ends in the middle: it is cut off" in findings[0].what


def test_a_dict_of_things_and_several_objects_are_told(folder: Path) -> None:
    (folder / "model.pkl").write_bytes(pickle.dumps({"model": 1, "columns": []}) + pickle.dumps(1))
    _, findings = spec_of(folder)
    assert [(finding.severity, finding.code) for finding in findings] == [
        ("warning", "several-objects"),
        ("error", "not-a-model"),
    ]
    assert "holds 2 objects one after the other; the first is served" in findings[0].what
    assert "holds a dict with 'model', 'columns', not a model" in findings[1].what


def test_a_model_trained_on_a_frame_needs_pandas(tmp_path: Path) -> None:
    columns = b"csklearn.compose._column_transformer\nColumnTransformer\n)\x81}Vfeature_names_in_\nNsb"
    (tmp_path / "model.pkl").write_bytes(b"\x80\x02" + columns + b".")
    assert spec_of(tmp_path)[0].modules == ("pandas", "sklearn")


def test_a_class_of_ones_own_takes_any_file_or_folder(folder: Path) -> None:
    (folder / "weights").mkdir()
    (folder / "weights" / "b.bin").write_bytes(b"2")
    (folder / "weights" / "a.bin").write_bytes(b"1")
    spec, findings = spec_of(
        folder, uri="weights", framework="python", loader="churn.features:Rare", code=("churn/", "common.py")
    )
    assert findings == () and (spec.framework, spec.format, spec.loader) == ("python", "none", "churn.features:Rare")
    assert [file.name for file in spec.files] == ["a.bin", "b.bin"]
    lines = "".join(sorted(f"{file.sha256}  {file.name}\n" for file in spec.files))
    assert spec.sha256 == hashlib.sha256(lines.encode()).hexdigest()
    assert spec.modules == ("pandas", "requests")


def test_an_empty_folder_or_no_file_is_no_model(folder: Path) -> None:
    (folder / "weights").mkdir()
    with pytest.raises(MlshipError, match="weights holds no files"):
        spec_of(folder, uri="weights", framework="python", loader="common:X")
    with pytest.raises(MlshipError, match="there is no nothing in"):
        spec_of(folder, uri="nothing", framework="python", loader="common:X")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no file sample.json"),
        (b"{", "sample.json is not JSON"),
        (b"[" * 100_000, "sample.json is not JSON"),
        (b"{}", "sample.json holds no rows"),
        (b"[]", "sample.json holds no rows"),
        (b'[[1], {"a": 1}]', "sample.json mixes rows of different forms"),
        (b'[{"a": 1}, {"a": NaN}]', "sample.json holds NaN or an infinite number in row 1, which JSON has not; write null"),
        (b"[[1e400]]", "sample.json holds NaN or an infinite number in row 0"),
        (json.dumps([1] * 1001).encode(), "sample.json holds 1001 rows; a sample has at most 1000"),
        (b" " * 4_000_001, "sample.json has 4.0 MB; a sample has at most 4.0 MB"),
    ],
)
def test_a_sample_that_cannot_be_read_is_a_finding(tmp_path: Path, content: bytes | None, words: str) -> None:
    (tmp_path / "model.pkl").write_bytes(PLAIN)
    if content is not None:
        (tmp_path / "sample.json").write_bytes(content)
    spec, findings = spec_of(tmp_path, sample="sample.json")
    assert spec.sample == () and [words in finding.what for finding in findings] == [True]
    assert findings[0].where == "mlship.yaml:5:3 model.sample"


def test_pipes_and_devices_are_refused_before_they_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.pkl")
    with pytest.raises(MlshipError, match=r"model\.pkl is not a regular file"):
        spec_of(tmp_path)
    (tmp_path / "model.pkl").unlink()
    (tmp_path / "model.pkl").write_bytes(PLAIN)
    os.mkfifo(tmp_path / "sample.json")
    _, findings = spec_of(tmp_path, sample="sample.json")
    assert [finding.what for finding in findings] == ["sample.json is not a regular file"]


def test_a_model_folder_of_the_project_holds_no_links_out_of_it(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    secret = tmp_path_factory.mktemp("outside") / "credentials"
    secret.touch()
    (folder / "weights").mkdir()
    (folder / "weights" / "w.bin").symlink_to(secret)
    with pytest.raises(MlshipError, match=r"w\.bin in weights leads out of the project's folder"):
        spec_of(folder, uri="weights", framework="python", loader="common:X")


def test_a_sample_may_be_a_bare_list(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").write_bytes(PLAIN)
    (tmp_path / "sample.json").write_text('["a", "b"]')
    assert spec_of(tmp_path, sample="sample.json")[0].sample == ("a", "b")


def test_a_models_folder_inside_the_code_goes_into_the_image_once(tmp_path: Path) -> None:
    for name in ("shop/__init__.py", "shop/net.py", "shop/weights/a.bin", "shop/weights/b.bin"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    asked = schema.Model(uri="shop/weights", framework="python", loader="shop.net:Net", code=("shop/",))
    spec, _ = model_spec(project(tmp_path), "churn", asked)
    assert [file.name for file in spec.code] == ["shop/__init__.py", "shop/net.py"]
    (tmp_path / "shop/weights/__init__.py").touch()  # a package: the code may import it
    spec, _ = model_spec(project(tmp_path), "churn", asked)
    assert len(spec.code) == 5


def test_a_framework_that_the_file_is_not_is_refused(folder: Path) -> None:
    (folder / "model.txt").write_text("tree\nversion=v4\n")
    with pytest.raises(
        MlshipError, match=r"model.framework says xgboost, and model.txt is a LightGBM model: framework lightgbm"
    ):
        spec_of(folder, uri="model.txt", framework="xgboost")
    with pytest.raises(MlshipError, match=r"model.framework says xgboost, and model.pkl is a pickle file: framework sklearn"):
        spec_of(folder, framework="xgboost")
