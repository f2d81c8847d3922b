"""Every kind of file gets the right words, told by its bytes first and its name second."""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import zipfile
import zlib
from pathlib import Path

import pytest

from mlship.errors import MlshipError
from mlship.frameworks.detect import Detected, detect


def archive(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, "x")
    return buffer.getvalue()


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        file.addfile(tarfile.TarInfo("model.pkl"))
    return buffer.getvalue()


PICKLED = pickle.dumps({"a": 1})


@pytest.mark.parametrize(
    ("name", "content", "format"),
    [
        ("m.joblib", PICKLED, "joblib"),
        ("m.pkl", PICKLED, "pickle"),
        ("m.pickle", pickle.dumps([1], 0), "pickle"),
        ("m.sav", pickle.dumps((1, 2), 1), "pickle"),
        ("m.dat", PICKLED, "pickle"),
        ("m.csv.bak", PICKLED, "pickle"),
        ("m.joblib", zlib.compress(PICKLED), "joblib"),
        ("m.pkl.gz", gzip.compress(PICKLED), "pickle"),
        ("m.skops", archive("schema.json", "a.npy"), "skops"),
        ("m.zip", archive("schema.json"), "skops"),
    ],
)
def test_scikit_learn_files_are_known_by_their_bytes(tmp_path: Path, name: str, content: bytes, format: str) -> None:
    (tmp_path / name).write_bytes(content)
    assert detect(tmp_path / name) == Detected("sklearn", format)


@pytest.mark.parametrize(
    ("content", "framework", "format"),
    [
        (b"{L\0\0\0\0\0\0\0\x07learner", "xgboost", "ubj"),
        (b'{"learner":{"attributes":{},"gradient_booster":{}}}', "xgboost", "json"),
        (b"binf\0\0\0", "xgboost", "binary"),
        (b"tree\nversion=v4\nnum_class=1\n", "lightgbm", "text"),
        (b"CBM1\0\0", "catboost", "cbm"),
        (b'{\n"features_info":\n{\n"categorical_features":', "catboost", "json"),
    ],
)
def test_boosted_trees_are_known_by_their_bytes(tmp_path: Path, content: bytes, framework: str, format: str) -> None:
    (tmp_path / "m.dat").write_bytes(content)
    found = detect(tmp_path / "m.dat")
    assert (found.framework, found.format) == (framework, format)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "m.json",
            b'{"name":"tree",\n"version":"v4",\n"num_class":1,\n"num_tree_per_iteration":1}',
            "what LightGBM's dump_model tells",
        ),
        ("m.gguf", b"GGUF\x03\0\0\0", "a GGUF language model, which"),
        ("m.tflite", b"\x1c\0\0\0TFL3", "a TensorFlow Lite model, which"),
        ("m.pte", b"\x20\0\0\0ET12", "an ExecuTorch program, which"),
        ("m.pt", archive("net/.data/version", "net/.data/extern_modules"), "a torch.package, which brings its code, which"),
        ("m.pmml", b'<?xml version="1.0"?><PMML version="4.4">', "a PMML model, which"),
        ("m.rds", gzip.compress(b"RDX3\nX\n"), "an R object, compressed with gzip, which"),
        ("m.pkl", b"", "m.pkl is empty, not a model"),
        (
            "m.pkl",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
            "a Git LFS pointer (the model itself was not fetched), not",
        ),
        ("m.pkl", b"<!DOCTYPE html><title>Sign in</title>", "a web page (an error or login page?), not a model"),
        ("m.pkl", b"<?xml version='1.0'?>\n<Error><Code>AccessDenied</Code></Error>", "an error message of an object store"),
        ("m.csv", b"a,b\n1,2\n", "a table (CSV), not a model"),
        ("m.pkl", b"a,b,c,d,e,f\n1,2,3,4,5,6\n", "a table (CSV), not a model"),
        ("m.parquet", b"PAR1\0\0", "a parquet table, not a model"),
        ("m.npy", b"\x93NUMPY\x01\0", "a numpy array, not a model"),
        ("m.npz", archive("a.npy"), "a numpy archive, not a model"),
        ("m.zip", archive("model.pkl"), "a zip archive with model.pkl, not a model"),
        ("m.zip", b"PK\x03\x04damaged", "a damaged zip archive"),
        ("m.tar", tar(), "a tar archive, not a model"),
        ("m.tar.gz", gzip.compress(tar()), "a compressed tar archive, not a model"),
        ("m.gz", gzip.compress(b"\0\1\2\3"), "a gzip file of an unknown kind, not a model"),
        ("m.ipynb", b'{"cells": [], "nbformat": 4}', "a notebook, not a model"),
        ("m.json", b'{"a": 1}', "a JSON file, not a model"),
        ("train.py", b"import joblib\n", "a .py file, not a model"),
        ("train.py", b"from a import (b, c, d, e, f)\n", "a .py file, not a model"),
        ("m.bin", b"\x7fELF\2\1", "a program, not a model"),
        ("m.db", b"SQLite format 3\0", "an SQLite database, not a model"),
        ("m.pdf", b"%PDF-1.4", "a PDF document, not a model"),
        ("m.bin", b"\0\1\2\3", "of a kind that mlship does not know, not a model"),
        ("m.joblib", b"\x04\x22\x4d\x18....", "compressed with lz4, which mlship does not read"),
    ],
)
def test_other_files_are_called_what_they_are(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MlshipError) as caught:
        detect(tmp_path / name, "mlship.yaml:2:1 model")
    assert words in caught.value.what and caught.value.where == "mlship.yaml:2:1 model"


@pytest.mark.parametrize(
    ("inside", "framework"),
    [
        ("saved_model.pb", "tensorflow"),
        ("MLmodel", "mlflow"),
        ("MAR-INF/MANIFEST.json", "torchserve"),
        ("config.json", "transformers"),
        ("metadata.json", "keras"),
        ("model.onnx", "onnx"),
    ],
)
def test_folders_are_known_by_a_file_in_them(tmp_path: Path, inside: str, framework: str) -> None:
    (tmp_path / inside).parent.mkdir(exist_ok=True)
    (tmp_path / inside).touch()
    assert detect(tmp_path).framework == framework


@pytest.mark.parametrize(
    ("name", "content", "framework", "format"),
    [
        ("m.keras", archive("config.json", "model.weights.h5"), "keras", "keras"),
        ("m.h5", b"\x89HDF\r\n\x1a\n\0\0", "keras", "h5"),
        ("m.mar", archive("model.pt", "MAR-INF/MANIFEST.json"), "torchserve", "zip"),
    ],
)
def test_keras_and_torchserve_are_known_by_what_is_in_them(
    tmp_path: Path, name: str, content: bytes, framework: str, format: str
) -> None:
    (tmp_path / name).write_bytes(content)
    found = detect(tmp_path / name)
    assert (found.framework, found.format) == (framework, format)


def test_a_folder_of_no_model_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "notes").touch()
    with pytest.raises(MlshipError, match="a folder, not a model"):
        detect(tmp_path)


def test_a_missing_file_is_named_with_what_is_like_it(tmp_path: Path) -> None:
    (tmp_path / "model.joblib").touch()
    with pytest.raises(MlshipError, match=r"there is no file modle.joblib.*did you mean model.joblib\?"):
        detect(tmp_path / "modle.joblib")
