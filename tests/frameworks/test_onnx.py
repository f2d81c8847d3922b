"""What an ONNX file says is read from its bytes; weights elsewhere are carried from the model's folder alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx_bytes import FLOAT, INT64, model, number, outside, part, value, varint

from mlship.errors import Finding
from mlship.frameworks.base import Asked
from mlship.frameworks.detect import Detected, detect
from mlship.frameworks.onnx import read_onnx
from mlship.frameworks.onnx_file import Value, read_graph
from mlship.server.pickle_scan import Refused, scan

ROWS = value("X", FLOAT, "N", 4)


def found(path: Path) -> tuple[Finding, ...]:
    return read_onnx(Asked(path, "onnx", "mlship.yaml:2", scan)).findings


def written(folder: Path, content: bytes, name: str = "m.onnx") -> Path:
    (folder / name).write_bytes(content)
    return folder / name


def test_inputs_and_outputs_are_told_without_those_that_have_a_value(tmp_path: Path) -> None:
    raw = model(ROWS, value("w", FLOAT, 4), value("id", INT64, 0, "seq"), weights=(part(8, "w") + part(9, b"\0" * 16),))
    graph = read_graph(written(tmp_path, raw))
    assert graph.inputs == (Value("X", "float32", (-1, 4)), Value("id", "int64", (-1, -1)))
    assert (graph.outputs, graph.external, graph.producer) == ((Value("y", "float32", (-1, 1)),), (), "by-hand")
    assert found(tmp_path / "m.onnx") == ()


@pytest.mark.parametrize(
    ("given", "words", "severity"),
    [
        (value("X", FLOAT, 8, 4), "the input X takes 8 rows at a time", "error"),
        (value("X", FLOAT, 1, 4), "the input X takes one row at a time", "warning"),
        (value("t", FLOAT), "the input t takes one value for all rows", "error"),
        (part(1, "s") + part(2, part(4, b"")), "the input s is no tensor", "error"),
    ],
)
def test_an_input_that_does_not_take_rows_is_named(tmp_path: Path, given: bytes, words: str, severity: str) -> None:
    (finding,) = found(written(tmp_path, model(given)))
    assert words in finding.what and finding.severity == severity and finding.fix


@pytest.mark.parametrize("place", ["../w.bin", "/etc/passwd", "a/../../w", "", "..\\w", "w\0.bin"])
@pytest.mark.parametrize("where", ["weight", "constant", "branch"])
def test_weights_that_lie_anywhere_else_are_refused(tmp_path: Path, place: str, where: str) -> None:
    tensor = outside(place)
    constant = part(4, "Constant") + part(5, part(1, "value") + part(5, tensor))
    branch = part(4, "If") + part(5, part(1, "then_branch") + part(6, part(1, constant)))
    raw = (
        model(ROWS, weights=(tensor,))
        if where == "weight"
        else model(ROWS, nodes=(constant if where == "constant" else branch,))
    )
    (tmp_path / "m").mkdir()
    written(tmp_path / "m", raw)
    (finding,) = found(tmp_path / "m")
    assert finding.code == "leads-out" and "which is no file beside it" in finding.what and "onnx.save(" in finding.fix


def test_weights_beside_the_graph_go_with_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "net"
    folder.mkdir()
    file = written(folder, model(ROWS, weights=(outside("net.onnx.data"),)), "net.onnx")
    (alone,) = found(file)
    assert alone.code == "external-data" and "put both in a folder of their own and name the folder" in alone.fix
    (absent,) = found(folder)
    assert absent.code == "no-file" and "keeps weights in net.onnx.data, which net does not hold" in absent.what
    (folder / "net.onnx.data").write_bytes(b"\0" * 16)
    assert found(folder) == () and detect(folder) == Detected("onnx", "folder", "a folder of an ONNX model")
    written(folder, b"", "other.onnx")
    assert "holds 2 .onnx files" in found(folder)[0].what


@pytest.mark.parametrize(
    "raw",
    [b"", b"\x08\x08\x12\x07pytorch", b"\xff" * 64, model(ROWS)[:-20], part(7, part(11, b"\x0a\xff\x7f")), number(1, 8)],
)
def test_what_is_no_graph_is_refused_in_words(tmp_path: Path, raw: bytes) -> None:
    (finding,) = found(written(tmp_path, raw))
    assert finding.severity == "error" and finding.what.startswith("m.onnx: ") and finding.fix


def test_graphs_nested_without_end_are_refused(tmp_path: Path) -> None:
    graph = b""
    for _ in range(100):
        graph = part(1, part(4, "If") + part(5, part(6, graph)))
    raw = part(7, graph) + part(8, b"")
    with pytest.raises(Refused, match="nested deeper than 64"):
        read_graph(written(tmp_path, raw))


def test_long_lists_of_a_tree_are_passed_over(tmp_path: Path) -> None:
    floats = part(5, part(1, "nodes_values") + b"".join(varint(7 << 3 | 5) + b"\0\0\0\0" for _ in range(2000)))
    raw = model(ROWS, nodes=(part(4, "TreeEnsembleClassifier") + floats,))
    assert read_graph(written(tmp_path, raw)).inputs[0].name == "X"


@pytest.mark.parametrize("external", [number(14, 2**32 + 1), varint(2**32 + (14 << 3)) + b"\x01"])
def test_weights_outside_are_seen_as_protobuf_reads_them(tmp_path: Path, external: bytes) -> None:
    weights = part(8, "w") + part(13, part(1, "location") + part(2, "../secret")) + external
    assert read_graph(written(tmp_path, model(ROWS, weights=(weights,)))).external == ("../secret",)


@pytest.mark.parametrize(
    "raw",
    [
        model(ROWS, weights=(outside("./" * 40_000 + "w.bin"),)),
        model(ROWS, nodes=(part(4, "TreeEnsembleClassifier") + part(4, "Constant") + part(5, part(5, outside("../secret"))),)),
    ],
)
def test_names_that_two_readers_see_in_two_ways_are_refused(tmp_path: Path, raw: bytes) -> None:
    with pytest.raises(Refused, match=r"a name of|two operators"):
        read_graph(written(tmp_path, raw))
