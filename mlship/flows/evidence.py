"""model.reference and model.holdout: rows of the user's own files, evenly drawn, for the proof of what a build makes of a model.

Read as `predict --data` reads them, in one pass and with constant memory; the same file gives the same rows. Nothing of it goes into
the image.
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from mlship.config.project import Project
from mlship.config.schema import Model
from mlship.config.words import clipped, nearest
from mlship.errors import Finding, MlshipError
from mlship.flows.batching.wishes import FORMS, KNOWN, Form
from mlship.frameworks.digest import FileDigests
from mlship.frameworks.engine_choice import HOLDOUT, REFERENCE
from mlship.memo import Memo, sources_digest

MOST_ROWS = {REFERENCE: 400, HOLDOUT: 10_000}  # of holdout what is answered in one call; of reference each row alone, twice
MOST_BYTES = 32_000_000  # of the rows that are handed on
PART_ROWS = 1000
ROWS = "rows-"  # with the file's kind behind it, the code of what is wrong with a file


@dataclass(frozen=True)
class RowsFile:
    """One of the two files. kind: `reference` or `holdout`. label: the column with the truth, `` for reference. where: its key.

    target: what that column is called, as far as it is known. head: the header of CSV. sha256: of the whole file. is_tested: `test`
    measures the model on it (holdout.min), whatever a build makes of it.
    """

    kind: str
    path: Path
    form: Form
    label: str
    where: str
    sha256: str
    head: str = ""
    target: str = ""
    is_tested: bool = False


@dataclass(frozen=True)
class Evidence:
    """What a model's keys name, as far as it can be read. findings: what is wrong with it."""

    files: tuple[RowsFile, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def facts(self) -> list[Any]:
        """What an answer that was found with these rows depends on."""
        return [
            [file.kind, file.form, file.label, file.target, file.sha256, MOST_ROWS[file.kind], MOST_BYTES]
            for file in self.files
        ]


def evidence_of(project: Project, prefix: str, model: Model, memo: Memo) -> Evidence:
    """prefix: the keys that lead to the model, `model` or `models.NAME`. Looks at each file's columns, and hashes it; files that have
    not changed are not read again."""
    if not (model.reference or model.holdout):
        return Evidence()
    digests = FileDigests(memo, f"{project.file} {prefix} rows")
    named = []
    if model.reference:
        named.append((REFERENCE, model.reference, "", f"{prefix}.reference"))
    if model.holdout:
        named.append((HOLDOUT, model.holdout.data, model.holdout.label, f"{prefix}.holdout"))
    files, findings = [], []
    for kind, said, label, key in named:
        try:
            files.append(_file(project, kind, said, label, key, digests, memo))
        except MlshipError as error:
            findings.append(Finding(error.what, error.where, error.fix, code=error.code or f"{ROWS}{kind}"))
    digests.save()
    target = model.holdout.label if model.holdout else ""
    tested = HOLDOUT if model.holdout and model.holdout.min else ""
    return Evidence(tuple(replace(file, target=target, is_tested=file.kind == tested) for file in files), tuple(findings))


def rows_finding(error: MlshipError, evidence: Evidence, where: str) -> Finding:
    """What the locked-down child found wrong: at the key of the file that is to blame, else at `where`. Pure."""
    places = {f"{ROWS}{file.kind}": file.where for file in evidence.files}
    return Finding(error.what, places.get(error.code, where), error.fix, code=error.code)


def unused(evidence: Evidence, name: str, reason: str) -> tuple[Finding, ...]:
    """That the files prove nothing of this model, and why. Pure."""
    return tuple(
        Finding(f"model.{file.kind} proves nothing of {name}: {reason}", file.where, "delete it", "note", "unused-rows")
        for file in evidence.files
        if not file.is_tested and file.kind != REFERENCE  # drift is measured against that one, whatever proves the engine
    )


def drawn(file: RowsFile, most: int = 0) -> dict[str, Any]:
    """At most `most` rows, MOST_ROWS when left out, evenly spaced, as the locked-down child takes them (server/compiling/given_rows.py).

    Raises MlshipError.
    """
    from mlship.flows.batching.input import open_rows
    from mlship.server.batch_records import cut

    kept = _Kept(most or MOST_ROWS[file.kind])
    with open_rows(file.path, file.form) as rows:
        for chunk in rows.parts(PART_ROWS, rows.behind_header() if file.form == "csv" else 0, 0, None):
            if chunk.too_long is not None:
                raise MlshipError(
                    f"row {chunk.first} of {file.path.name} has {chunk.too_long.size} bytes",
                    file.where,
                    code=f"{ROWS}{file.kind}",
                )
            for place, record in enumerate(cut(chunk.body, chunk.form)):
                kept.offer(chunk.first + place, chunk.form, record)
    if not kept.records:
        raise MlshipError(f"{file.path.name} has no rows", file.where, "name a file of rows", code=f"{ROWS}{file.kind}")
    return {
        "kind": file.kind,
        "name": file.path.name,
        "head": file.head,
        "parts": list(kept.parts()),
        "numbers": [number for number, _, _ in kept.records],
        "label": file.label,
        "target": file.target,
    }


@dataclass
class _Kept:
    """Every row at first; as soon as they are too many, every second of them, and so on: the length of a file is known at its end."""

    most: int
    every: int = 1
    size: int = 0
    records: list[tuple[int, Form, bytes]] = field(default_factory=list)

    def offer(self, number: int, form: Form, record: bytes) -> None:
        if number % self.every:
            return
        self.records.append((number, form, record))
        self.size += len(record)
        while len(self.records) > self.most or (self.size > MOST_BYTES and len(self.records) > 1):
            self.every *= 2
            self.records = [one for one in self.records if one[0] % self.every == 0]
            self.size = sum(len(record) for _, _, record in self.records)

    def parts(self) -> Iterator[tuple[Form, str]]:
        """Rows in a row that have one form, as one text."""
        gathered: list[bytes] = []
        before: Form | None = None
        for _, form, record in self.records:
            if before is not None and form != before:
                yield before, _text(gathered)
                gathered = []
            before = form
            gathered.append(record)
        if before is not None:
            yield before, _text(gathered)


def _text(records: list[bytes]) -> str:
    return b"".join(records).decode("utf-8", "replace")


def _file(project: Project, kind: str, said: str, label: str, key: str, digests: FileDigests, memo: Memo) -> RowsFile:
    """Raises MlshipError."""
    place = project.at(f"{key}.data" if kind == HOLDOUT else key)
    path = project.root / said
    form = FORMS.get(PurePosixPath(said).suffix.lower())
    if form is None:
        raise MlshipError(
            f"{clipped(said)} is of no form that is known by its name", place, f"name a file that ends in {KNOWN}"
        )
    try:
        found = digests.of(path) if path.is_file() else None
        if found is None:
            what = f"{clipped(said)} is not a regular file" if path.exists() else f"there is no file {clipped(said)}"
            raise MlshipError(what, place, f"name a file that ends in {KNOWN}")
        columns, head = _known_columns(path, form, kind, found.sha256, memo)
    except OSError as error:
        raise MlshipError(f"{clipped(said)} cannot be read ({error.strerror})", place, "name another file") from None
    except MlshipError as error:
        raise MlshipError(error.what, error.where or place, error.fix) from None
    if label and label not in columns:
        near = nearest(label, columns)
        there = ", ".join(map(clipped, columns[:8])) + (" ..." if len(columns) > 8 else "")
        fix = f"did you mean {near}?" if near else f"name one of its columns: {there}"
        what = f"{clipped(said)} has no column {clipped(label)}"
        raise MlshipError(what, project.at(f"{key}.label"), fix, code="no-label")
    return RowsFile(kind, path, form, label, place, found.sha256, head)


def rows_file(path: Path) -> RowsFile:
    """A file that the command line names, as one of a model's keys is read. Raises MlshipError."""
    form = FORMS.get(path.suffix.lower())
    if form is None or not path.is_file():
        what = f"there is no file {path}" if form else f"{path} is of no form that is known by its name"
        raise MlshipError(what, fix=f"name a file that ends in {KNOWN}")
    return RowsFile(REFERENCE, path, form, "", "", "", _columns(path, form, REFERENCE)[1])


def _known_columns(path: Path, form: Form, kind: str, sha256: str, memo: Memo) -> tuple[tuple[str, ...], str]:
    """Looked at once for each content: a build with nothing to do does not even import what reads Parquet. Raises MlshipError."""
    facts = [sha256, form, kind, sources_digest(sys.modules[__name__])]
    known = memo.recall("columns", str(path), facts)
    if known is not None:
        return tuple(known[0]), str(known[1])
    columns, head = _columns(path, form, kind)
    memo.keep("columns", str(path), facts, [columns, head])
    return columns, head


def _columns(path: Path, form: Form, kind: str) -> tuple[tuple[str, ...], str]:
    """Names of the columns, and the header of CSV. Raises MlshipError."""
    from mlship.flows.batching.input import open_rows

    with open_rows(path, form) as rows:
        if form == "parquet":
            line = io.StringIO()
            csv.writer(line, lineterminator="\n").writerow(rows.columns)
            return rows.columns, line.getvalue()
        if form == "csv":
            return _header(path, rows.first)
        return _names(path, kind), ""


def _header(path: Path, first: bytes) -> tuple[tuple[str, ...], str]:
    try:
        head = first.decode("utf-8-sig")
        titles = tuple(title.strip() for title in next(csv.reader(io.StringIO(head, newline=""), strict=True), ()))
    except (UnicodeDecodeError, csv.Error) as error:
        raise MlshipError(f"{path.name} is not CSV in UTF-8: {error}", fix="write it again as UTF-8") from None
    if _is_row(titles):
        what = f"the first line of {path.name} is no header: it has numbers in it"
        raise MlshipError(what, fix="write the names of its columns into the first line")
    twice = next((title for title in titles if titles.count(title) > 1), None)
    if twice is not None:
        raise MlshipError(f"{path.name} has the column {clipped(twice)} twice", fix="name its columns apart")
    return titles, head


def _is_row(titles: tuple[str, ...]) -> bool:
    """Numbers are no names, but for those that pandas counts columns with."""
    numbers = [title for title in titles if _is_number(title)]
    return bool(numbers) and numbers != [str(count) for count in range(len(numbers))]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return text.lower() not in ("nan", "inf", "infinity")


def _names(path: Path, kind: str) -> tuple[str, ...]:
    """Of the first object of JSON Lines."""
    import json

    from mlship.server.batch_records import LONGEST

    with path.open("rb") as file:
        line = next((line for line in iter(lambda: file.readline(LONGEST), b"") if line.strip()), b"")
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise MlshipError(f"the first line of {path.name} is not JSON: {error}", fix="write one row a line") from None
    if isinstance(row, dict):
        return tuple(map(str, row))
    if kind == HOLDOUT:
        what = f"the rows of {path.name} are no objects, and only these have a column that can be named"
        raise MlshipError(what, fix='write {"name": value, ...} in each line')
    return ()
