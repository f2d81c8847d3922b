"""predict --data --out: the rows of a file through an image's model, on this machine and without a server.

data ? -> image ? -> what was reached before ? -> rows in chunks -> the image's own processes -> answers and rejects, checkpoints ! ->
the files under their names !
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlship.config.project import Project
from mlship.disk import OTHER_HOME, scratch_folder
from mlship.errors import Exit, MlshipError
from mlship.flows.batching.files import OTHER_PLACE, Reached, Subject, Unfinished, moved_to, unfinished
from mlship.flows.batching.input import Data, Rows, data_of, open_rows
from mlship.flows.batching.output import parquet_of
from mlship.flows.batching.processes import Answerers, Done, Opening, answerers
from mlship.flows.batching.remote import fetched_data, refuse_unwritable, uploaded_to
from mlship.flows.batching.results import Answered
from mlship.flows.batching.wishes import Wishes, refuse_same
from mlship.flows.build import built_records
from mlship.flows.building.images import workplace_of
from mlship.flows.context import Context, Where
from mlship.flows.fitting import fitting, refuse_unbuilt
from mlship.flows.gather import own_platform
from mlship.flows.opening import found_file, history_or_error, opened, project_if_any
from mlship.flows.plan import recorded_images
from mlship.flows.secrets import read_here
from mlship.oci.driver import with_driver
from mlship.oci.image import Image
from mlship.oci.layout import Layout
from mlship.oci.rootfs import assemble, command
from mlship.progress import Progress
from mlship.runner import Command

CHECKPOINT_S = 2.0  # of work that is done again after a kill
SMALL = {"B": 4_000_000, "rows": 20_000}  # data for which a second process is not worth its start

MOST = 16  # processes that nobody asked for: this one hands them some 800,000 rows a second at most


def predict_file(context: Context, where: Where, wishes: Wishes, again: str) -> Answered:
    """again: the command line, without --image, for hints.

    Raises MlshipError: exit 2 for data that the model does not take, 4 where another command writes these answers, 6 when the model
    cannot be loaded or fails with every row. What was reached is kept then, and after an interrupt.
    """
    wishes = _at_hand(context, wishes)
    project, image = _chosen(context, where, wishes)
    with unfinished(wishes.out, OTHER_HOME if wishes.out_address else OTHER_PLACE) as run:
        data = data_of(wishes.data, context.progress)
        subject = _subject(wishes, data, image)
        reached = run.reached(subject, again)
        if reached.is_done:  # it was killed between its last row and the files' names
            return finished(context, run, wishes, reached, image.content, reached.rows, 0)
        with open_rows(wishes.data, wishes.form) as rows, _program(context, project, image) as start:
            count = wishes.processes or (1 if rows.total < SMALL[rows.unit] else _cores())
            with answerers(context.runner, start, _opening(rows, wishes, count), count) as processes:
                begun = _begun(rows, processes.opened(), reached)
                run.begin(begun)
                done = _answer(context.progress, rows, processes, wishes, Book(run, subject, begun, data))
        return finished(context, run, wishes, done, image.content, reached.rows, count)


def _at_hand(context: Context, wishes: Wishes) -> Wishes:
    """With the data and the answers on this machine, and what can be told of them before anything is built. Raises MlshipError."""
    refuse_same(wishes)
    if wishes.data_address:
        wishes = replace(wishes, data=fetched_data(context, wishes.data_address))
    if wishes.out_address:
        refuse_unwritable(context, wishes.out_address)
        key = hashlib.sha256(wishes.out_address.encode()).hexdigest()[:32]
        wishes = replace(wishes, out=context.home.cache / "batch" / key / wishes.out.name)
    elif wishes.out.is_dir():
        raise MlshipError(f"{wishes.out} is a folder", fix=f"name a file with --out: {wishes.out / 'answers.csv'}")
    with open_rows(wishes.data, wishes.form):
        pass
    return wishes


def _chosen(context: Context, where: Where, wishes: Wishes) -> tuple[Project | None, Image]:
    """The image that is named, or that of the project as it is now; without a mlship.yaml that of the live release."""
    layout, here = Layout(context.home.images), own_platform()
    is_only_an_image = wishes.image and where.file is None and not where.name and found_file(context.cwd) is None
    project = None if is_only_an_image else project_if_any(context, where)
    if project is None:
        return None, _runs_here(layout.find(wishes.image or _live_content(context, where)), here)
    if wishes.image:
        records = recorded_images(context, project, wishes.image)
    else:
        refuse_unbuilt(project, here, "this machine")
        records = built_records(context, project)
    return project, _runs_here(layout.find(fitting(records, here).content), here)


def _live_content(context: Context, where: Where) -> str:
    place = opened(context, where)
    live = history_or_error(place, place.target.observe().history).live_release
    if live is None:
        raise MlshipError(f"{place.name} has no live release", fix="name an image with --image", code="not-deployed")
    return live.served.content


def _runs_here(image: Image, here: str) -> Image:
    if image.platform != here:
        raise MlshipError(
            f"the image {image.content} is for {image.platform}, this machine is {here}",
            fix=f"mlship build, with build: {{platforms: [{here}]}}",
            code="wrong-platform",
        )
    return image


def _subject(wishes: Wishes, data: Data, image: Image) -> Subject:
    return Subject(
        sha256=data.sha256,
        size=data.size,
        content=image.content,
        model=wishes.model,
        form=wishes.form,
        out_form=wishes.out_form,
        header=wishes.header,
        limit=wishes.limit,
    )


@contextmanager
def _program(context: Context, project: Project | None, image: Image) -> Iterator[Command]:
    """The image's batch program, from the image's own files, with the project's environment and secrets."""
    settings: dict[str, str] = {"MLSHIP_RELEASE": "r0-batch"}
    if project is not None:
        given = read_here(context, project)
        for finding in given.findings:  # a model may do without one; a deployment may not
            context.progress.step("secrets", str(finding))
        settings = {**settings, **project.env, **given.values}
    context.progress.step("model", f"image {image.content.removeprefix('sha256:')[:12]}")
    with scratch_folder(context.home.cache / "work") as folder:
        root = assemble(workplace_of(context).layout, image, folder / "rootfs", context.home)
        config = image.config["config"]
        environ = with_driver(root, {**dict(line.split("=", 1) for line in config["Env"]), **settings})
        yield command(root, (*config["Entrypoint"], "batch"), environ)


def _opening(rows: Rows, wishes: Wishes, count: int) -> Opening:
    told = {
        "model": wishes.model,
        "form": "csv" if wishes.form == "csv" else "jsonl",
        "header": wishes.header,
        "columns": rows.columns,
        "out": "csv" if wishes.out_form == "csv" else "jsonl",
        "processes": count,
    }
    return Opening(told, rows.first)


def _cores() -> int:
    """That may be used; each of so many processes loads the model."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, MOST)


def _begun(rows: Rows, model: Mapping[str, Any], reached: Reached) -> Reached:
    """A new run begins behind the header."""
    if reached.rows:
        return reached
    named = {name: model[name] for name in ("project", "model", "sha256", "title")}
    note = "" if model["joined"] else "row by row: rows of this model may be answered otherwise together than alone"
    return replace(reached, position=rows.behind_header() if model["header"] else 0, model={**named, "note": note})


class Book:
    """What is written as answers come: pieces of the files, and every few seconds how far they are whole."""

    def __init__(self, run: Unfinished, subject: Subject, reached: Reached, data: Data) -> None:
        self._run = run
        self._subject = subject
        self._before_s = reached.seconds
        self._began = self._kept = time.monotonic()
        self._data = data
        self.reached = reached

    @property
    def elapsed_s(self) -> float:
        """Of this run."""
        return time.monotonic() - self._began

    def write(self, done: Done) -> None:
        """Raises MlshipError where the model changes its columns."""
        answers, rejects = done.answers, done.rejects
        head = self.reached.head
        for found in done.told["heads"]:
            if head and found != head:
                raise MlshipError(
                    f"the answers have other columns from row {done.chunk.first} on: {found.strip()}; they had {head.strip()}",
                    fix="name a .jsonl file with --out: each of its lines has names of its own",
                    exit=Exit.VERIFY_FAILED,
                    code="other-columns",
                )
            head = found
        if head and not self.reached.head:
            answers = head.encode() + answers
        self._run.append(answers, rejects)
        self.reached = advanced(self.reached, done, len(answers), head)
        if time.monotonic() - self._kept >= CHECKPOINT_S:
            self.keep()

    def keep(self, is_done: bool = False) -> None:
        """Raises MlshipError when the data is not what it was: what was read of it since is not kept then."""
        self._data.refuse_changed()
        self.reached = replace(self.reached, seconds=self._before_s + self.elapsed_s, is_done=is_done)
        self._run.checkpoint(self._subject, self.reached)
        self._kept = time.monotonic()


def advanced(reached: Reached, done: Done, written: int, head: str) -> Reached:
    """How far a run is behind this chunk. written: bytes of answers. Pure."""
    return replace(
        reached,
        position=done.chunk.end,
        rows=reached.rows + done.chunk.count,
        rejected=reached.rejected + done.told["rejected"],
        failed=reached.failed + done.told["failed"],
        answers=reached.answers + written,
        rejects=reached.rejects + len(done.rejects),
        head=head,
        reason=reached.reason or done.told["reason"],
    )


def _answer(progress: Progress, rows: Rows, processes: Answerers, wishes: Wishes, book: Book) -> Reached:
    """Until the end of the data, or of what is asked of it."""
    at = book.reached
    progress.step("predict", f"{wishes.data.name}, from row {at.rows}" if at.rows else wishes.data.name)
    parts = rows.parts(wishes.chunk, at.position, at.rows, wishes.limit)
    try:
        for done in processes.answered(parts):
            book.write(done)
            pace = pace_of(at, book.reached, book.elapsed_s, rows.total, wishes.limit)
            progress.amount(f"predict  {pace}", book.reached.position, rows.total, rows.unit)
    except (KeyboardInterrupt, MlshipError):
        book.keep()
        raise
    if not book.reached.rows:
        raise MlshipError(f"{wishes.data} has no rows", fix="name a file of rows with --data", code="no-rows")
    book.keep(is_done=True)
    return book.reached


def pace_of(began: Reached, now: Reached, elapsed_s: float, total: int, limit: int | None) -> str:
    """`1,200,000 rows, 210,000 rows/s, 00:42 left`. total: of positions. Pure."""
    rows, share = now.rows - began.rows, now.position - began.position
    speed = rows / elapsed_s if elapsed_s else 0.0
    left_s = (total - now.position) / share * elapsed_s if share else 0.0
    if limit is not None and speed:
        left_s = min(left_s, (limit - now.rows) / speed)
    minutes, seconds = divmod(round(left_s), 60)
    return f"{now.rows:,} rows, {speed:,.0f} rows/s, {minutes:02d}:{seconds:02d} left"


def finished(
    context: Context, run: Unfinished, wishes: Wishes, reached: Reached, content: str, resumed: int, processes: int
) -> Answered:
    """Takes the files to where they belong. Raises MlshipError when there is not one answer."""
    has_answers = reached.rejected < reached.rows
    rejects = (wishes.rejects_address or str(wishes.rejects)) if reached.rejected else ""
    size = 0

    def put_answers(file: Path) -> None:
        nonlocal size
        size = file.stat().st_size
        (uploaded_to(context, wishes.out_address) if wishes.out_address else moved_to(wishes.out))(file)

    if not rejects and not wishes.out_address:
        wishes.rejects.unlink(missing_ok=True)  # of an earlier run
    put_rejects = uploaded_to(context, wishes.rejects_address) if wishes.out_address else moved_to(wishes.rejects)
    made = parquet_of if wishes.out_form == "parquet" else None
    run.publish(put_answers if has_answers else None, put_rejects if rejects else None, made)
    if not has_answers:
        raise _nothing(reached, rejects)
    if not size:  # they had their name already when an earlier run was killed
        size = wishes.out.stat().st_size
    return Answered(
        **reached.model,
        content=content,
        data=wishes.data_address or str(wishes.data),
        out=wishes.out_address or str(wishes.out),
        size=size,
        rows=reached.rows,
        rejected=reached.rejected,
        rejects=rejects,
        reason=reached.reason,
        seconds=reached.seconds,
        resumed=resumed,
        processes=processes,
    )


def _nothing(reached: Reached, rejects: str) -> MlshipError:
    return MlshipError(
        f"no row was answered: {'the only one was' if reached.rows == 1 else f'all {reached.rows:,} were'} rejected",
        where=rejects,
        fix="the model failed with them: mlship check" if reached.failed else "the file of rejects says why of each",
        exit=Exit.VERIFY_FAILED if reached.failed else Exit.USAGE,
        code="all-rejected",
        details=[reached.reason],
    )
