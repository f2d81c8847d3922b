"""A model comes whole or not at all, and what was cut goes on where it stood."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from mlship.disk import SCRATCH
from mlship.errors import Exit, MlshipError
from mlship.home import Home
from mlship.progress import Silent
from mlship.sources.base import Body, Cut, Item, Snapshot
from mlship.sources.fetch import TRIES, Fetch
from mlship.sources.store import ModelStore

BYTES = bytes(range(256)) * 40
MD5 = hashlib.md5(BYTES, usedforsecurity=False).hexdigest()
ITEM = Item("model.joblib", "key", len(BYTES), "v1", {"md5": MD5})


class Line:
    """A source whose line breaks after each of `cuts` bytes; begun keeps where each read began."""

    def __init__(self, *cuts: int, content: bytes = BYTES, has_ranges: bool = True, error: type[BaseException] = Cut) -> None:
        self.cuts = list(cuts)
        self.content = content
        self.has_ranges = has_ranges
        self.error = error
        self.begun: list[int] = []

    def snapshot(self, version: str = "") -> Snapshot:
        raise NotImplementedError

    @contextmanager
    def read(self, item: Item, start: int) -> Iterator[Body]:
        self.begun.append(start)
        yield Body(start if self.has_ranges else 0, self._pieces(start if self.has_ranges else 0))

    def _pieces(self, start: int) -> Iterator[bytes]:
        if not self.cuts:
            yield self.content[start:]
            return
        yield self.content[start : start + self.cuts.pop(0)]
        raise self.error("the line broke")


def fetch(home: Path, source: Line) -> Fetch:
    return Fetch(ModelStore(Home(home)), source, Silent(), "s3://b/model.joblib", "mlship.yaml:2", pause=lambda _: None)


def snapshot(*items: Item, title: str = "model.joblib") -> Snapshot:
    return Snapshot(title, "version 1", items or (ITEM,), is_file=not items)


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")


def test_a_cut_download_goes_on_where_it_stood(tmp_path: Path) -> None:
    line = Line(100, 1000, 0, 2000)
    sha256, path = fetch(tmp_path, line).model(snapshot())
    assert path.read_bytes() == BYTES
    assert line.begun == [0, 100, 1100, 1100, 3100]
    assert everything(tmp_path) == [f"cache/models/{sha256}/model.joblib"]
    assert ModelStore(Home(tmp_path)).find(sha256) == path


def test_the_next_command_goes_on_where_a_killed_one_stood(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path, Line(4000, error=KeyboardInterrupt)).model(snapshot())
    assert not list((tmp_path / "cache/models").rglob("model.joblib"))
    line = Line()
    _, path = fetch(tmp_path, line).model(snapshot())
    assert path.read_bytes() == BYTES and line.begun == [4000]


def test_another_version_is_not_continued_with(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        fetch(tmp_path, Line(4000, error=KeyboardInterrupt)).model(replace(snapshot(), version="version 2"))
    line = Line()
    fetch(tmp_path, line).model(snapshot())
    assert line.begun == [0]


def test_a_source_without_ranges_begins_anew(tmp_path: Path) -> None:
    _, path = fetch(tmp_path, Line(100, has_ranges=False)).model(snapshot())
    assert path.read_bytes() == BYTES


def test_a_line_that_gives_nothing_is_given_up(tmp_path: Path) -> None:
    line = Line(*[0] * TRIES)
    with pytest.raises(MlshipError, match=r"s3://b/model\.joblib does not come any further: the line broke") as raised:
        fetch(tmp_path, line).model(snapshot())
    assert raised.value.exit is Exit.UNREACHABLE and raised.value.where == "mlship.yaml:2"


def test_other_bytes_than_the_source_says_never_reach_the_store(tmp_path: Path) -> None:
    with pytest.raises(MlshipError, match=r"model\.joblib arrived with other bytes than its source says") as raised:
        fetch(tmp_path, Line(content=BYTES[:-1] + b"x")).model(snapshot())
    assert raised.value.exit is Exit.BUILD_FAILED and everything(tmp_path) == []


def test_a_file_that_ends_too_early_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MlshipError, match=r"model\.joblib is shorter than its source says"):
        fetch(tmp_path, Line(content=BYTES[:100])).model(snapshot())


def test_a_file_of_less_than_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MlshipError, match="fewer than no bytes"):
        fetch(tmp_path, Line()).model(snapshot(Item("model.joblib", "key", -1, "v1")))
    assert everything(tmp_path) == []


@pytest.mark.parametrize(
    "name",
    [
        "../out",
        "a/../../out",
        "/etc/passwd",
        "a//b",
        "a/.",
        "C:/x",
        "a\\..\\b",
        "a\nb",
        "x" * 256,
        "",
        "a/\0",
        "a\ud800",
        "x/" * 600 + "x",
    ],
)
def test_names_that_lead_out_are_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(MlshipError, match="a file whose name leads out of its folder") as raised:
        fetch(tmp_path, Line()).model(snapshot(replace(ITEM, name=name), ITEM, title="model"))
    assert raised.value.code == "unsafe-name" and everything(tmp_path) == []


def test_a_folder_is_kept_with_its_names_and_without_hidden_files(tmp_path: Path) -> None:
    items = [replace(ITEM, name=name) for name in ("MLmodel", "data/model.skops", ".gitattributes", "data/.cache/x")]
    sha256, path = fetch(tmp_path, Line()).model(snapshot(*items, title="churn"))
    assert everything(path) == ["MLmodel", "data/model.skops"]
    assert path == tmp_path / "cache/models" / sha256 / "churn"


def test_a_model_of_a_strange_name_is_found_again(tmp_path: Path) -> None:
    fetching = fetch(tmp_path, Line())
    sha256, path = fetching.model(snapshot(title=f"{SCRATCH}x"))
    assert fetching.store.find(sha256) == path


def test_the_same_bytes_under_another_name_are_another_model(tmp_path: Path) -> None:
    one, _ = fetch(tmp_path, Line()).model(snapshot())
    other, path = fetch(tmp_path, Line()).model(snapshot(ITEM, title="folder"))
    assert one != other and path.name == "folder" and everything(path) == ["model.joblib"]


def test_no_file_of_a_folder_is_left_out_of_what_is_pinned(tmp_path: Path) -> None:
    items = (Item("MLmodel", "key", len(BYTES), "v1"), Item("code/__pycache__/net.pyc", "key", 4, "v1"))
    pinned, _ = fetch(tmp_path, Line(content=BYTES)).model(snapshot(*items, title="churn"))
    others = (items[0], replace(items[1], size=5))
    assert fetch(tmp_path, Line(content=BYTES)).model(snapshot(*others, title="churn"))[0] != pinned


def test_a_file_and_a_folder_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MlshipError, match="two files of one name, or a file and a folder"):
        fetch(tmp_path, Line()).model(snapshot(replace(ITEM, name="a"), replace(ITEM, name="a/b"), title="m"))


def test_more_than_the_disk_has_is_not_begun(tmp_path: Path) -> None:
    with pytest.raises(MlshipError, match=r"s3://b/model\.joblib is .* and .* are free below"):
        fetch(tmp_path, Line()).model(replace(snapshot(), items=(replace(ITEM, size=2**60),)))
