"""An MLflow model folder is served by the file in it; what its MLmodel says is used, and never believed too far."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlship.config import schema
from mlship.config.project import Project
from mlship.errors import MlshipError
from mlship.frameworks.declared import declared_findings
from mlship.frameworks.mlflow_files import served
from mlship.frameworks.propose import propose
from mlship.frameworks.specs import model_spec
from mlship.frameworks.strange_yaml import plain_yaml
from mlship.image.packages.environment import Distribution, TrainingEnvironment
from mlship.image.packages.pinned import chosen_lines, has_pinned
from mlship.server.manifest import Feature, Signature

PLAIN = b"\x80\x02csklearn.pipeline\nPipeline\n)\x81}(V_sklearn_version\nV1.5.0\nVsteps\n]ub."
RARE = b"\x80\x02crare.features\nRare\n)\x81}V_sklearn_version\nV1.9.1\nsb."
SKLEARN = {"pickled_model": "model.pkl", "sklearn_version": "1.9.1", "serialization_format": "pickle", "code": None}
PYFUNC = {"loader_module": "mlflow.sklearn", "predict_fn": "predict"}
COLUMNS = [{"type": "double", "name": "age"}, {"type": "string", "name": "city", "required": False}]


def folder(root: Path, sklearn: dict[str, Any] | None = SKLEARN, pyfunc: dict[str, Any] = PYFUNC, **more: Any) -> Path:
    path = root / "wine"
    path.mkdir(exist_ok=True)
    (path / "model.pkl").write_bytes(PLAIN)
    flavors = {"python_function": pyfunc, **({"sklearn": sklearn} if sklearn else {})}
    document = {"flavors": flavors, "signature": {"inputs": json.dumps(COLUMNS)}, **more}
    (path / "MLmodel").write_text(yaml.safe_dump(document))
    return path


def spec_of(root: Path, **model: Any) -> Any:
    project = Project(root / "mlship.yaml", "wine", "", "local", models=(), positions={"model": (2, 1), "model.uri": (2, 1)})
    return model_spec(project, "wine", schema.Model(**{"uri": "wine", **model}))


def test_the_file_inside_is_served_by_its_own_framework(tmp_path: Path) -> None:
    path = folder(tmp_path, pyfunc={**PYFUNC, "predict_fn": "predict_proba"})
    (path / "requirements.txt").write_text(
        "mlflow==3.17.2\nscikit-learn==1.9.1  # trained\n-r other.txt\npandas @ https://evil.example/pandas-1.whl\nnumpy==2.4.6\n"
    )
    (path / "python_env.yaml").write_text("python: 3.11.7\nbuild_dependencies: [pip]\n")
    spec, findings = spec_of(tmp_path)
    assert findings == ()
    assert (spec.framework, spec.uri, [file.name for file in spec.files]) == ("sklearn", "wine", ["model.pkl"])
    assert spec.method == "predict_proba" and spec.versions == {"scikit-learn": "1.5.0"}
    assert spec.pinned.lines == ("scikit-learn==1.9.1", "numpy==2.4.6") and spec.pinned.python == "3.11.7"
    assert [(feature.name, feature.dtype, feature.nullable) for feature in spec.declared.inputs] == [
        ("age", "float64", False),
        ("city", "string", True),
    ]


@pytest.mark.parametrize(
    ("example", "rows"),
    [
        (
            '{"columns": ["age", "city"], "data": [[1.5, "a"], [NaN, "b"]]}',
            ({"age": 1.5, "city": "a"}, {"age": None, "city": "b"}),
        ),
        ('{"columns": [0, 1], "data": [[1, 2]]}', ([1, 2],)),
        ("[[1, 2], [3, 4]]", ([1, 2], [3, 4])),
        ('["good", "bad"]', ("good", "bad")),
    ],
)
def test_the_input_example_becomes_the_sample(tmp_path: Path, example: str, rows: tuple[Any, ...]) -> None:
    path = folder(tmp_path, saved_input_example_info={"artifact_path": "input_example.json", "type": "dataframe"})
    (path / "input_example.json").write_text(example)
    assert spec_of(tmp_path)[0].sample == rows
    (tmp_path / "own.json").write_text('{"instances": [[9]]}')
    assert spec_of(tmp_path, sample="own.json")[0].sample == ([9],)


def test_an_example_of_another_form_is_a_note(tmp_path: Path) -> None:
    path = folder(tmp_path, saved_input_example_info={"artifact_path": "input_example.json"})
    (path / "input_example.json").write_text('{"messages": []}')
    assert [(finding.severity, finding.code) for finding in spec_of(tmp_path)[1]] == [("note", "no-example")]


@pytest.mark.parametrize(
    ("named", "code"),
    [("../../etc/passwd", "leads-out"), ("/etc/passwd", "leads-out"), ("gone.pkl", "missing-model"), (["a"], "damaged-mlmodel"),
     ("inner", "packed-twice"), ("a\0b", "damaged-mlmodel")],
)  # fmt: skip
def test_what_mlmodel_names_lies_in_its_folder_and_is_one_model(tmp_path: Path, named: object, code: str) -> None:
    path = folder(tmp_path, {**SKLEARN, "pickled_model": named})
    (path / "inner").mkdir()
    (path / "inner" / "MLmodel").write_text((path / "MLmodel").read_text())
    with pytest.raises(MlshipError) as caught:
        spec_of(tmp_path)
    assert caught.value.code == code and caught.value.where == "mlship.yaml:2:1 model.uri"


@pytest.mark.parametrize("text", ["", "flavors: 3", "a: [", "!!python/object:os.system {}", "[" * 5000, "\xff"])
def test_a_damaged_mlmodel_is_refused(tmp_path: Path, text: str) -> None:
    (folder(tmp_path) / "MLmodel").write_bytes(text.encode("latin-1"))
    with pytest.raises(MlshipError) as caught:
        spec_of(tmp_path)
    assert caught.value.code == "damaged-mlmodel"


def test_code_of_a_folder_runs_only_when_the_file_says_so(tmp_path: Path) -> None:
    folder(tmp_path, None, {"loader_module": "mlflow.pyfunc.model", "python_model": "python_model.pkl"})
    with pytest.raises(MlshipError, match="runs code of its own") as caught:
        spec_of(tmp_path)
    assert "write framework: mlflow" in caught.value.fix
    spec, _ = spec_of(tmp_path, framework="mlflow")
    assert spec.framework == "mlflow" and "MLmodel" in [file.name for file in spec.files]
    assert spec.pinned.lines == ("mlflow-skinny", "pandas", "numpy") and spec.pinned.is_whole


def test_init_takes_code_of_a_folder_for_the_option_alone_and_names_it(tmp_path: Path) -> None:
    path = folder(tmp_path, None, {"loader_module": "mlflow.pyfunc.model"})
    with pytest.raises(MlshipError, match="runs code of its own") as caught:
        propose(path, tmp_path)
    assert "mlship init --framework mlflow" in caught.value.fix
    assert propose(path, tmp_path, framework="mlflow").framework == "mlflow"
    with pytest.raises(MlshipError, match="framework sklearn"):
        propose(path / "model.pkl", tmp_path, framework="mlflow")


def flavored(root: Path, name: str, flavor: dict[str, Any], *files: str) -> Path:
    path = folder(root)
    (path / "MLmodel").write_text(yaml.safe_dump({"flavors": {name: flavor}}))
    for file in files:
        (path / file).parent.mkdir(parents=True, exist_ok=True)
        (path / file).write_text("{}")
    return path


@pytest.mark.parametrize(
    ("name", "flavor", "files", "found"),
    [
        ("pytorch", {"model_data": "data"}, ("data/model.pt2", "data/extra.txt"), "data/model.pt2"),
        ("pytorch", {"model_data": "data"}, ("data/model.pth", "data/pickle_module_info.txt"), "data/model.pth"),
        (
            "tensorflow",
            {"data": "data", "model_type": "keras"},
            ("data/model.keras", "data/save_format.txt"),
            "data/model.keras",
        ),
        ("tensorflow", {"data": "data", "model_type": "keras"}, ("data/model.h5",), "data/model.h5"),
        ("tensorflow", {"saved_model_dir": "tf2model"}, ("tf2model/saved_model.pb",), "tf2model"),
        ("keras", {"data": "data", "save_exported_model": True}, ("data/model/saved_model.pb",), "data/model"),
        ("transformers", {"model_binary": "model"}, ("model/config.json",), "model"),
    ],
)
def test_each_flavor_says_in_its_own_way_where_the_model_lies(
    tmp_path: Path, name: str, flavor: dict[str, Any], files: tuple[str, ...], found: str
) -> None:
    path = flavored(tmp_path, name, flavor, *files)
    assert served(name, flavor, path, "here").path == path / found


def test_a_tokenizer_beside_the_weights_becomes_part_of_the_model(tmp_path: Path) -> None:
    flavor = {"model_binary": "model", "components": ["tokenizer", "image_processor"], "prompt_template": "Say: {prompt}"}
    files = ("model/model.safetensors", "components/tokenizer/tokenizer.json", "components/tokenizer/own.py")
    path = flavored(tmp_path, "transformers", flavor, *files)
    (path / "model" / "config.json").write_text('{"architectures": ["BertForSequenceClassification"]}')
    spec, findings = spec_of(tmp_path)
    assert [file.name for file in spec.files] == ["config.json", "model.safetensors", "tokenizer.json"]
    assert [(finding.severity, finding.code) for finding in findings] == [("warning", "unused-key")]


@pytest.mark.parametrize(
    ("flavor", "words"),
    [
        ({"source_model_name": "bert"}, "only refers to bert"),
        ({"model_binary": "model", "peft_adaptor": "peft"}, "PEFT adaptor"),
    ],
)
def test_a_folder_without_the_whole_model_is_refused(tmp_path: Path, flavor: dict[str, Any], words: str) -> None:
    flavored(tmp_path, "transformers", flavor)
    with pytest.raises(MlshipError, match=words):
        spec_of(tmp_path)


def test_a_flavor_that_is_not_served_is_named(tmp_path: Path) -> None:
    path = folder(tmp_path)
    (path / "MLmodel").write_text("flavors: {spark: {model_data: sparkml}}")
    with pytest.raises(MlshipError, match="of flavor spark, which mlship does not serve"):
        spec_of(tmp_path)


def test_code_that_came_along_is_taken_for_trusted_names_only(tmp_path: Path) -> None:
    path = folder(tmp_path, {**SKLEARN, "code": "code", "skops_trusted_types": ["rare.features.Rare"]})
    (path / "model.pkl").write_bytes(RARE)
    package = path / "code" / "rare"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "features.py").write_text("import common\nimport requests\nclass Rare: ...\n")
    (path / "code" / "common.py").touch()
    (path / "code" / "json.py").write_text("raise SystemExit")
    spec, findings = spec_of(tmp_path)
    assert spec.code == () and [finding.code for finding in findings] == ["unknown-name"]
    assert "whoever saved it vouches for rare.features.Rare" in findings[0].what
    spec, findings = spec_of(tmp_path, trust=("rare.features.Rare",))
    assert findings == () and spec.modules == ("requests", "sklearn")
    assert [file.name for file in spec.code] == ["common.py", "rare/__init__.py", "rare/features.py"]
    assert propose(path, tmp_path).trust == ("rare.features.Rare",) and propose(path, tmp_path).code == ()


def signature(*features: tuple[str, str], named: bool = True) -> Signature:
    return Signature(tuple(Feature(name, dtype) for name, dtype in features), named=named)


@pytest.mark.parametrize(
    ("said", "found", "words"),
    [
        (signature(("a", "float64")), signature(("a", "float32")), []),
        (signature(("b", "int64"), ("a", "float64")), signature(("a", "float64"), ("b", "bool")), []),
        (signature(("a", "float64")), signature(("a", "float64"), ("b", "any")), ["error: needs b, which its signature"]),
        (
            signature(("a", "float64"), ("b", "any")),
            signature(("a", "float64")),
            ["warning: has b, which the model does not read"],
        ),
        (
            signature(("a", "string")),
            signature(("a", "float64")),
            ["error: a of wine is float64, and its signature says string"],
        ),
        (signature(("x0", "float64"), named=False), signature(("a", "float64"), ("b", "float64")), ["error: takes 2 features"]),
        (signature(("x0", "string"), named=False), signature(("text", "string"), named=False), []),
        (signature(("x0", "string"), named=False), signature(("a", "int64")), ["error: a of wine is int64"]),
        (signature(), signature(("a", "int64")), []),
    ],
)
def test_the_folders_signature_is_compared_with_the_models_own(said: Signature, found: Signature, words: list[str]) -> None:
    findings = declared_findings(said, found, "wine", "mlship.yaml:2:1 model.uri")
    assert len(findings) == len(words)
    for finding, wanted in zip(findings, words, strict=True):
        severity, _, text = wanted.partition(": ")
        assert finding.severity == severity and text in finding.what, finding


def test_an_image_gets_what_the_model_needs_of_the_pinned_packages(tmp_path: Path) -> None:
    path = folder(tmp_path)
    (path / "requirements.txt").write_text("mlflow==3\nscikit-learn==1.9.1\npandas[excel]==3.1.1\nnumpy==2.4.6\n")
    pinned = spec_of(tmp_path)[0].pinned
    chosen = chosen_lines(pinned, ("sklearn", "own"), ("own",))
    assert chosen.lines == ("scikit-learn==1.9.1",) and chosen.constraints == ("numpy==2.4.6", "pandas==3.1.1")
    assert chosen_lines(pinned, ("sklearn", "requests")).lines == pinned.lines


def test_of_two_names_for_one_package_the_one_without_gpu_code_counts(tmp_path: Path) -> None:
    path = folder(tmp_path)
    (path / "requirements.txt").write_text("mlflow==3\nnumpy==2.4.6\nxgboost-cpu==3.2.0\nxgboost==3.2.0\n")
    pinned = spec_of(tmp_path)[0].pinned
    assert chosen_lines(pinned, ("xgboost",)).lines == ("xgboost-cpu==3.2.0",)
    for name in ("xgboost", "xgboost-cpu"):
        installed = {name: Distribution(name, "3.2.0", ("xgboost",)), "numpy": Distribution("numpy", "2.4.6", ("numpy",))}
        assert has_pinned(TrainingEnvironment(".venv", "3.11.7", Path("python"), distributions=installed), pinned, ("xgboost",))


@pytest.mark.parametrize(
    ("versions", "fits"),
    [
        ({"scikit-learn": "1.9.1", "numpy": "2.4.6"}, True),
        ({"scikit-learn": "1.9.1+local", "numpy": "2.4.6", "mlflow": "2"}, True),
        ({"scikit-learn": "1.9.1", "numpy": "2.4.5"}, False),
        ({"scikit-learn": "1.9.1"}, False),
    ],
)
def test_an_environment_counts_when_it_has_the_pinned_versions(tmp_path: Path, versions: dict[str, str], fits: bool) -> None:
    path = folder(tmp_path)
    (path / "requirements.txt").write_text("mlflow==3\nscikit-learn==1.9.1\nnumpy==2.4.6\n")
    modules = {"scikit-learn": ("sklearn",)}
    installed = {name: Distribution(name, version, modules.get(name, (name,))) for name, version in versions.items()}
    environment = TrainingEnvironment(".venv", "3.11.7", Path("python"), distributions=installed)
    assert has_pinned(environment, spec_of(tmp_path)[0].pinned, ("sklearn",)) is fits


@pytest.mark.parametrize("again", ["[{0}]", "{{<<: [{0}]}}"])
def test_a_document_that_grows_when_it_is_read_is_refused(tmp_path: Path, again: str) -> None:
    path = folder(tmp_path)
    grown = [f"a{n}: &a{n} " + again.format(", ".join([f"*a{n - 1}"] * 9)) for n in range(1, 12)]
    (path / "MLmodel").write_text("\n".join(["a0: &a0 {x: 1}", *grown, "flavors: {sklearn: {sklearn_version: *a11}}"]))
    with pytest.raises(MlshipError, match=r"MLmodel cannot be read: it (names|merges)"):
        spec_of(tmp_path)


def test_a_document_that_names_a_part_twice_is_read(tmp_path: Path) -> None:
    assert plain_yaml(b"a: &a [1, 2]\nb: *a") == {"a": [1, 2], "b": [1, 2]}
    with pytest.raises(ValueError, match="holds itself"):
        plain_yaml(b"a: &a [*a]")
