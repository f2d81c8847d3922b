"""What a batch prediction is asked for, judged before anything is read. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlship.errors import MlshipError

Form = Literal["csv", "jsonl", "parquet"]

FORMS: dict[str, Form] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
KNOWN = ".csv, .jsonl or .parquet"
ROWS = 10_000  # in a call of the model
MOST_ROWS = 1_000_000
REMOTE = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)


@dataclass(frozen=True)
class Wishes:
    """limit: rows to answer, None for all. chunk: rows in a call of the model. header: of CSV, None where it shows by itself.

    model: one of several. processes: 0 for as many as there are cores. python: for the build that may be needed.
    """

    data: Path
    out: Path
    form: Form
    out_form: Form
    model: str = ""
    image: str = ""
    limit: int | None = None
    chunk: int = ROWS
    header: bool | None = None
    processes: int = 0

    @property
    def rejects(self) -> Path:
        """`answers.csv` -> `answers.rejects.jsonl`."""
        return self.out.with_name(f"{self.out.stem}.rejects.jsonl")


def form_of(path: Path, option: str) -> Form:
    """By the name. Raises MlshipError."""
    form = FORMS.get(path.suffix.lower())
    if form is None:
        raise MlshipError(
            f"{option} {path.name} is of no form that is known by its name", fix=f"name a file that ends in {KNOWN}"
        )
    return form


def refuse_remote(said: str, option: str) -> None:
    """Raises MlshipError for what is no path on this machine."""
    if found := REMOTE.match(said):
        scheme = found[1].lower()
        raise MlshipError(
            f"{option} {said}: {scheme}:// is not yet {'written' if option == '--out' else 'read'}",
            fix=f"name a file on this machine; copy it {'there' if option == '--out' else 'from there'} with the platform's own tool",
            code="not-yet",
        )


def refuse_same(wishes: Wishes) -> None:
    """Raises MlshipError where the answers would be written over the rows, or the rejects over one of both."""
    if wishes.data == wishes.out or wishes.data == wishes.rejects:
        raise MlshipError(f"{wishes.data} is the data, and would be written over", fix="name another file with --out")


def header_from(said: str) -> bool | None:
    """Raises MlshipError."""
    known = {"": None, "yes": True, "no": False}
    if said.lower() not in known:
        raise MlshipError(f"--header {said} is neither yes nor no", fix="leave it out, or say --header yes or --header no")
    return known[said.lower()]


def refuse_unanswered(data: str) -> None:
    """Raises MlshipError for data whose form only the rows of a file have, where no file for the answers is named."""
    if Path(data).suffix.lower() in FORMS and not data.lower().endswith(".csv"):
        raise MlshipError(f"--data {data} needs a file for its answers", fix=f"mlship predict --data {data} --out answers.csv")
