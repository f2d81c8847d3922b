"""mlship.yaml from the disk, and from text to nodes: nothing that a file can hold takes long, grows or runs.

Size, depth, number of values, anchors and tags are judged on the parser's events, before anything is built from them.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import yaml

from mlship.config.nodes import List, Map, Node, Place, Scalar, below
from mlship.config.report import Report
from mlship.config.words import clipped, named, shown_path, unseen_in_file
from mlship.errors import MlshipError

MAX_BYTES = 2**20
MAX_DEPTH = 32
MAX_VALUES = 5_000  # keys counted; the annotated example, which has every key, has about 250

# Thousands of %TAG lines keep libyaml busy for seconds.
_DIRECTIVE = re.compile("^%", re.MULTILINE)
_EMPTY = ("the file is empty", "two lines are enough: name: NAME and model: FILE")

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_text(file: Path) -> str:
    """The file's text: at most 1 MiB of UTF-8. Raises MlshipError for anything that is not such a file."""
    raw = _read_bytes(file)
    if len(raw) > MAX_BYTES:
        raise MlshipError(
            "the file is larger than 1 MiB", shown_path(file), "keep data out of it: name files instead", code="too-large"
        )
    try:
        return raw.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise MlshipError(
            f"the file is not UTF-8: byte 0x{raw[error.start]:02x} at offset {error.start}",
            f"{clipped(file.name)}:{line}",
            "save it as UTF-8",
            code="not-utf-8",
        ) from None


def _read_bytes(file: Path) -> bytes:
    place = shown_path(file)
    try:
        # Looked at before it is opened: opening some devices acts. Looked at again after: it may have been exchanged.
        _refuse_special(file.stat(), place)
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise MlshipError("the file does not exist", place, "mlship init --model FILE writes one", code="no-file") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a file name"
        raise MlshipError(f"the file cannot be read: {reason}", place, "check the path and its permissions") from None
    with os.fdopen(descriptor, "rb") as opened:
        _refuse_special(os.fstat(opened.fileno()), place)
        return opened.read(MAX_BYTES + 1)


def _refuse_special(seen: os.stat_result, place: str) -> None:
    if stat.S_ISDIR(seen.st_mode):
        raise MlshipError("this is a folder, not a file", place, "name the mlship.yaml in it", code="not-a-file")
    if not stat.S_ISREG(seen.st_mode):
        raise MlshipError("this is not a regular file", place, "name a file on disk", code="not-a-file")


def compose(text: str, report: Report) -> Map | None:
    """The document as nodes; None where it cannot be read further, with the reasons in the report.

    Keys that stand twice are reported and the first is kept, so that the rest of the file is judged as well.
    """
    offset = unseen_in_file(text)
    if offset >= 0:
        what = f"the character {named(text[offset])} is not allowed"
        report.add(_place_of(text, offset), "", what, "delete it", "control-character")
        return None
    if directive := _DIRECTIVE.search(text):
        what = "lines that start with % are not read: this is YAML 1.2, without tags"
        report.add(_place_of(text, directive.start()), "", what, "delete the line", "directive")
        return None
    try:
        return _Composer(text, report).document()
    except _Refused:
        return None
    except yaml.MarkedYAMLError as error:
        mark, fix = _mark_and_fix(text, error)
        place = Place(mark.line + 1, mark.column + 1) if mark else Place(1, 1)
        context = f" ({clipped(error.context)})" if error.context else ""
        report.add(place, "", f"this is not YAML: {clipped(error.problem or 'unreadable')}{context}", fix, "syntax")
    except yaml.YAMLError as error:
        report.add(Place(1, 1), "", f"this is not YAML: {clipped(str(error))}", "", "syntax")
    return None


def _mark_and_fix(text: str, error: yaml.MarkedYAMLError) -> tuple[Any, str]:
    """Where to look and what to write: told by the letters at the parser's two marks, not by its words."""
    mark, began = error.problem_mark or error.context_mark, error.context_mark
    if mark is None:
        return None, ""
    opener = text[began.index : began.index + 1] if began else ""
    if text[mark.index : mark.index + 1] == "\t":
        return mark, "indent with spaces, not with tabs"
    if opener and opener in "\"'[{" and not text[mark.index :].strip():
        return began, f"what {opener} opens here is never closed"
    if opener and opener in "[{":
        return mark, 'close it on its line, and quote values with a colon, comma or bracket in them: "a: b"'
    if text[mark.index : mark.index + 1] == ":":
        return mark, 'write one KEY: VALUE a line (is a colon missing above?), and quote values with a colon in them: "a: b"'
    if opener and opener in "\"'":
        return mark, ""
    if text[: mark.index].rpartition("\n")[2].strip():  # in the midst of a line
        return mark, 'quote the whole value, and close each quote on its line: "a b"'
    return mark, "begin the line in the column of the keys beside it" if isinstance(error, yaml.parser.ParserError) else ""


def _place_of(text: str, offset: int) -> Place:
    line_start = text.rfind("\n", 0, offset) + 1
    return Place(text.count("\n", 0, offset) + 1, offset - line_start + 1)


class _Refused(Exception):
    """The document is not read any further; why is in the report."""


class _Composer:
    """Events to nodes, one document."""

    def __init__(self, text: str, report: Report) -> None:
        self._events: Iterator[Any] = iter(yaml.parse(text, Loader=_LOADER))
        self._report = report
        self._values = 0
        self._refused: set[str] = set()

    def document(self) -> Map | None:
        next(self._events)  # the stream's start
        if isinstance(next(self._events), yaml.StreamEndEvent):
            self._report.add(Place(1, 1), "", *_EMPTY, "empty")
            return None
        root = self._node(next(self._events), "", None, 1)
        next(self._events)  # the document's end
        following = next(self._events)
        if not isinstance(following, yaml.StreamEndEvent):
            self._stop(following, "", "a second document starts here", "keep one document in the file", "two-documents")
        if self._refused:
            return None
        if isinstance(root, Map):
            return root
        if isinstance(root, Scalar) and root.is_nothing:
            self._report.add(Place(1, 1), "", *_EMPTY, "empty")
        else:
            self._report.add(
                root.place, "", f"the file is {_kind(root)}, not a map of keys", "start with name: NAME", "not-a-map"
            )
        return None

    def _node(self, event: Any, key: str, key_place: Place | None, depth: int) -> Node:
        place = _place(event)
        self._values += 1
        if self._values > MAX_VALUES:
            self._stop(event, key, f"the file has more than {MAX_VALUES} values", "keep data out of it", "too-many-values")
        if depth > MAX_DEPTH:
            self._stop(event, "", f"this is nested deeper than {MAX_DEPTH} levels", "write it flatter", "too-deep")
        self._refuse_references(event, key)
        where = key_place or place
        if isinstance(event, yaml.MappingStartEvent):
            return Map(key, place, where, self._entries(key, depth))
        if isinstance(event, yaml.SequenceStartEvent):
            return List(key, place, where, tuple(self._items(key, depth)))
        if isinstance(event, yaml.ScalarEvent):
            return Scalar(key, place, where, event.value, plain=event.style in (None, ""))
        return Scalar(key, place, where, "", plain=True)  # an alias: refused above

    def _refuse_references(self, event: Any, key: str) -> None:
        if getattr(event, "anchor", None) and "anchor" not in self._refused:
            self._refused.add("anchor")
            what = "anchors (&) and aliases (*) are not read"
            self._report.add(_place(event), key, what, "write the value out where it is needed", "alias")
        tag = getattr(event, "tag", None)
        if tag:
            self._refused.add("tag")
            what = f"the tag {clipped(tag.replace('tag:yaml.org,2002:', '!!'))} is not read"
            self._report.add(_place(event), key, what, "delete it; for text, put the value in quotes", "tag")

    def _entries(self, parent: str, depth: int) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        for event in self._events:
            if isinstance(event, yaml.MappingEndEvent):
                return entries
            name = self._key(event, parent, depth)
            key = below(parent, name)
            value = self._node(next(self._events), key, _place(event), depth + 1)
            if name in entries:
                first = entries[name].key_place
                what = f"the key stands twice, first in line {first.line}"
                self._report.add(_place(event), key, what, "keep one of them", "duplicate-key")
                continue
            entries[name] = value
        raise AssertionError("the parser ends every map")

    def _key(self, event: Any, parent: str, depth: int) -> str:
        node = self._node(event, parent, None, depth + 1)
        if not isinstance(node, Scalar):
            self._refused.add("key")
            if not getattr(event, "anchor", None):
                self._report.add(node.place, parent, f"{_kind(node)} cannot be a key", "write a word", "key")
            return ""
        if node.plain and node.text == "<<":
            self._refused.add("merge")
            self._report.add(node.place, parent, "merge keys (<<) are not read", "write the keys out", "merge-key")
        return node.text

    def _items(self, parent: str, depth: int) -> Iterator[Node]:
        for position, event in enumerate(self._events):
            if isinstance(event, yaml.SequenceEndEvent):
                return
            yield self._node(event, f"{parent}[{position}]", None, depth + 1)

    def _stop(self, event: Any, key: str, what: str, fix: str, code: str) -> NoReturn:
        self._report.add(_place(event), key, what, fix, code)
        raise _Refused


def _place(event: Any) -> Place:
    return Place(event.start_mark.line + 1, event.start_mark.column + 1)


def _kind(node: Node) -> str:
    return "text" if isinstance(node, Scalar) else str(node)
