"""What a batch prediction is asked for, judged before anything is read. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from mlship.config.addresses import problem_of, scheme_of
from mlship.config.words import clipped, either
from mlship.errors import MlshipError

Form = Literal["csv", "jsonl", "parquet"]

FORMS: dict[str, Form] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
KNOWN = ".csv, .jsonl or .parquet"
ROWS = 10_000  # in a call of the model
MOST_ROWS = 1_000_000
READ = ("s3", "gs", "az", "abfss", "wasbs", "hf", "dvc")  # of mlship/sources, those that hold files of any kind
WRITTEN = ("s3",)


@dataclass(frozen=True)
class Wishes:
    """limit: rows to answer, None for all. chunk: rows in a call of the model. header: of CSV, None where it shows by itself.

    data_address, out_address: where the data comes from, and the answers go to, if that is not a path on this machine.
    model: one of several. processes: 0 for as many as there are cores.
    """

    data: Path
    out: Path
    form: Form
    out_form: Form
    data_address: str = ""
    out_address: str = ""
    model: str = ""
    image: str = ""
    limit: int | None = None
    chunk: int = ROWS
    header: bool | None = None
    processes: int = 0

    @property
    def rejects(self) -> Path:
        """`answers.csv` -> `answers.csv.rejects.jsonl`: answers.jsonl beside it has rejects of its own."""
        return self.out.with_name(f"{self.out.name}.rejects.jsonl")

    @property
    def rejects_address(self) -> str:
        """Beside the answers, where they go elsewhere."""
        return f"{self.out_address.rpartition('/')[0]}/{self.rejects.name}" if self.out_address else ""


def form_of(said: str, option: str) -> Form:
    """By the name. Raises MlshipError."""
    form = FORMS.get(PurePosixPath(said).suffix.lower())
    if form is None:
        raise MlshipError(
            f"{option} {clipped(said)} is of no form that is known by its name", fix=f"name a file that ends in {KNOWN}"
        )
    return form


def address_of(said: str, option: str) -> str:
    """The address where it is one that can be read (--data) or written (--out); empty for a path. Raises MlshipError."""
    scheme = scheme_of(said)
    if not scheme:
        return ""
    if wrong := problem_of(said):
        raise MlshipError(f"{option}: {wrong[0]}", fix=wrong[1].replace("model.uri", option))
    if scheme not in (READ if option == "--data" else WRITTEN):
        place = "read as data" if option == "--data" else "written"
        fix = f"name a file on this machine, or {either(READ if option == '--data' else WRITTEN)}://"
        raise MlshipError(f"{option} {clipped(said)}: {scheme}: is not yet {place}", fix=fix, code="not-yet")
    return said


def refuse_same(wishes: Wishes) -> None:
    """Raises MlshipError where the answers would be written over the rows, or the rejects over one of both."""
    if (wishes.data, wishes.data_address) in ((wishes.out, wishes.out_address), (wishes.rejects, wishes.out_address)):
        raise MlshipError(f"{wishes.data} is the data, and would be written over", fix="name another file with --out")


def header_from(said: str) -> bool | None:
    """Raises MlshipError."""
    known = {"": None, "yes": True, "no": False}
    if said.lower() not in known:
        raise MlshipError(f"--header {said} is neither yes nor no", fix="leave it out, or say --header yes or --header no")
    return known[said.lower()]


def refuse_unanswered(data: str) -> None:
    """Raises MlshipError for data that only many rows come from, where no file for the answers is named."""
    form = FORMS.get(PurePosixPath(data).suffix.lower())
    if scheme_of(data) or form not in (None, "csv"):
        raise MlshipError(
            f"--data {clipped(data)} needs a file for its answers",
            fix=f"mlship predict --data {clipped(data)} --out answers.csv",
        )
