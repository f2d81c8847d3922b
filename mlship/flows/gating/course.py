"""test: the gates before a deploy, asked of a server of the built image; with --live of the live release. Deploys nothing."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlship.bench.generator import Generator
from mlship.bench.question import Address, Question, raw
from mlship.config.gates import Gate
from mlship.config.gates import parse as gate_from
from mlship.config.project import Project
from mlship.config.quality import parse as limit_from
from mlship.config.schema import Model
from mlship.config.words import nearest
from mlship.errors import Exit, FindingsError, MlshipError
from mlship.flows.bench import address_of
from mlship.flows.benching.server import Recipe, Started, served
from mlship.flows.benching.subject import STARTUP_S
from mlship.flows.build import built_records
from mlship.flows.context import Context, Where
from mlship.flows.evidence import RowsFile, evidence_of
from mlship.flows.fitting import fitting, refuse_unbuilt
from mlship.flows.gather import own_platform
from mlship.flows.gating import budgets
from mlship.flows.gating.drill import drill, drill_result
from mlship.flows.gating.exact import golden_results, sample_results
from mlship.flows.gating.golden import truths
from mlship.flows.gating.holdout import PART_ROWS, Unanswered, columns_of, measure, results
from mlship.flows.gating.metrics import Unmeasurable
from mlship.flows.gating.qualities import Qualities, Quality, quality_of
from mlship.flows.gating.results import GATES, NotAsked, Report, Result
from mlship.flows.gating.schema_change import Change, service_change
from mlship.flows.gating.schema_change import change as schema_change
from mlship.flows.gating.sides import Side, built_side, live_side, not_live, with_key
from mlship.flows.gating.wire import asked
from mlship.flows.opening import project_of
from mlship.flows.plan import recorded_images
from mlship.flows.secrets import read_here
from mlship.frameworks.engine_choice import HOLDOUT
from mlship.image.record import BuildRecord
from mlship.memo import Memo
from mlship.targets.base import OPERATOR_KEY, Answer
from mlship.targets.comparing import prediction_change
from mlship.targets.gates import judge_change
from mlship.units import Duration, Memory

OF_BUILT = ("change", "schema", "memory", "start", "drill")  # they compare with the live release, or end the server
IN_VAIN = "nothing says what it must keep"
UNBROKEN = "nothing that breaks callers"
SAMPLE_ROWS = 1  # of a request of the load


@dataclass(frozen=True)
class Wishes:
    """What the command line asks for. image: content id of one that was built before; of the project as it is now where empty.

    only: names of gates, all where empty. max_change: a share. breaking: is meant to be. platforms: whose callers are played in
    place of these gates.
    """

    live: bool = False
    image: str = ""
    only: tuple[str, ...] = ()
    max_memory: Memory | None = None
    max_start: Duration | None = None
    slo: budgets.Promise | None = None
    max_change: float | None = None
    breaking: bool = False
    drill: bool = False
    strict: bool = False
    key: str = ""
    python: str = ""
    platforms: tuple[str, ...] = ()


def judge(context: Context, where: Where, wishes: Wishes) -> Report:
    """Starts the built image's server where it is asked, and ends it again.

    Raises MlshipError with exit 5 where the server does not come up, 13 where nothing can be reached with --live.
    """
    began = time.perf_counter()
    project = project_of(context, where)
    _refuse_unknown(wishes.only)
    if wishes.live and wishes.image:
        raise MlshipError("--live asks the live release, --image a built one", fix="leave one of them out", code="usage")
    _callers_key(context, wishes)
    _refuse_unreadable(context, project, wishes)
    side, said = (_of_live if wishes.live else _of_built)(context, project, where, wishes)
    said += _named_in_vain(said, wishes)
    not_asked = tuple(_not_asked(said, wishes, side))
    return Report(
        project=project.name,
        environment=project.environment,
        subject=side.name,
        content=side.content,
        results=tuple(said),
        not_asked=not_asked,
        live=wishes.live,
        strict=wishes.strict,
        seconds=time.perf_counter() - began,
    )


def _of_built(context: Context, project: Project, where: Where, wishes: Wishes) -> tuple[Side, list[Result]]:
    record = built_record(context, project, wishes)
    given = read_here(context, project)
    key = given.values.get(OPERATOR_KEY, "")
    settings = {"MLSHIP_RELEASE": "r0-test", **project.env, **given.values}
    startup = project.serve.startup_timeout
    recipe = Recipe(
        record.content, settings, _readiness, lambda status, body: status == 200, startup.seconds if startup else STARTUP_S
    )
    context.progress.step("start", "the built image, on this machine")
    with served(context, recipe) as started:
        side = built_side(record, started.address, key)
        live, no_live = _live_beside(context, project, where, wishes)
        course = _Course(context, project, wishes, side, live, no_live)
        return side, [*course.results(), *_of_server(context, course, started)]


def built_record(context: Context, project: Project, wishes: Wishes) -> BuildRecord:
    """Of the image that is named, or of the project as it is now."""
    here = own_platform()
    if not wishes.image:
        refuse_unbuilt(project, here, "this machine")
        return fitting(built_records(context, project, wishes.python), here)
    record = fitting(recorded_images(context, project, wishes.image), here)
    if record.platform != here:
        raise MlshipError(
            f"the image {record.content} is for {record.platform}, this machine is {here}",
            fix=f"mlship build, with build: {{platforms: [{here}]}}",
            code="wrong-platform",
        )
    return record


def _of_live(context: Context, project: Project, where: Where, wishes: Wishes) -> tuple[Side, list[Result]]:
    side = live_side(context, project, where.host)
    if side is None:
        raise not_live(project.name)
    side = with_key(side, _callers_key(context, wishes))
    course = _Course(context, project, wishes, side, side, "")
    found = list(course.results())
    if wishes.slo and course.wants("slo"):
        found.append(course.slo(address_of(side.endpoint)))
    return side, found


def _of_server(context: Context, course: _Course, started: Started) -> Iterator[Result]:
    """What only a server of our own is asked."""
    wishes = course.wishes
    if wishes.max_start and course.wants("start"):
        yield budgets.start_result(started.cold_start_s, wishes.max_start)
    if wishes.slo and course.wants("slo"):
        yield course.slo(started.address)
    if wishes.max_memory and course.wants("memory"):
        yield budgets.memory_result(started.memory(), wishes.max_memory)
    if wishes.drill and course.wants("drill"):
        model = course.asked_model()
        if model is None:
            yield _no_sample("drill")
            return
        context.progress.step("drill", "SIGTERM under load")
        path, body = asked("native", model, course.side.path(model), course.side.proofs[model].instances[:SAMPLE_ROWS], ())
        yield drill_result(drill(started.process, started.address, path, body, course.side.key))


class _Course:
    """The gates of one side, one after the other. live: what it is compared with; no_live: why there is none."""

    def __init__(self, context: Context, project: Project, wishes: Wishes, side: Side, live: Side | None, no_live: str) -> None:
        self._context = context
        self._project = project
        self.wishes = wishes
        self.side = side
        self._live = live
        self._no_live = no_live

    def wants(self, gate: str) -> bool:
        return not self.wishes.only or gate in self.wishes.only

    def asked_model(self) -> str | None:
        """The first that has a sample."""
        return next((name for name, proof in self.side.proofs.items() if proof.instances), None)

    def results(self) -> Iterator[Result]:
        """Of all models."""
        for name, model in self._project.models:
            if name not in self.side.proofs:
                why = f"{self.side.name} has no model {name}"
                yield Result("sample", "inconclusive", name, why=why, fix="mlship deploy")
                continue
            schema = self.side.schema(name)
            yield from self._exact(name, model, schema or {})
            if model.holdout and model.holdout.min and self.wants("holdout"):
                self._context.progress.step("holdout", name)
                yield from self._holdout(name, model, schema or {})
            if not self.wishes.live:
                yield from self._against_live(name, schema)
        if not self.wishes.live:
            yield from self._service_against_live()
            yield from self._change()

    def slo(self, address: Address) -> Result:
        """A short load of the first model that has a sample."""
        model = self.asked_model()
        assert self.wishes.slo is not None
        if model is None:
            return _no_sample("slo")
        if self.side.serving.get("auth") and not self.side.key:
            why = "the service judges its callers (serve.auth)"
            return Result("slo", "inconclusive", self.wishes.slo.metric, why=why, fix="mlship test --live --key NAME")
        self._context.progress.step("load", f"{budgets.SECONDS:g} s, at most {budgets.LONGEST_S:g}")
        question = Question(self.side.proofs[model].instances[:SAMPLE_ROWS], {})
        generator = Generator(self._context.runner, address, [raw(question, address, self.side.path(model), self.side.key)])
        return budgets.slo_result(budgets.load(generator, self.wishes.slo), self.wishes.slo)

    def _exact(self, name: str, model: Model, schema: Mapping[str, Any]) -> Iterator[Result]:
        passed = [{"name": name, "dtype": "any"} for name in schema.get("passthrough", ())]
        inputs: Sequence[Mapping[str, Any]] = [*schema.get("inputs", ()), *passed]
        if self.wants("sample"):
            self._context.progress.step("sample", name)
            yield from sample_results(self.side, name, inputs)
        if model.golden and self.wants("golden"):
            self._context.progress.step("golden", name)
            known = truths(self._project.root, model.golden, self._project.at(f"{prefix_of(self._project, name)}.golden"))
            yield from golden_results(self.side, name, inputs, known)

    def _holdout(self, name: str, model: Model, schema: Mapping[str, Any]) -> Iterator[Result]:
        assert model.holdout is not None
        file = rows_of(self._context, self._project, name, model)
        of = name if len(self.side.proofs) > 1 else ""
        outputs = {output["name"]: output for output in schema.get("outputs", ())}
        classes = next((output["classes"] for output in outputs.values() if output.get("classes")), None) or ()
        qualities = Qualities(self._context.home.images)
        try:
            columns = columns_of(schema, self._project.serve.hooks is not None)
            found = measure(self.side, name, file, columns, classes)
        except Unanswered as error:
            fix = f"raise serve.request_timeout or serve.max_body: {PART_ROWS} rows are asked at a time"
            yield Result("holdout", "inconclusive", of, "not measured", ", ".join(model.holdout.min), str(error), fix)
            return
        except Unmeasurable as error:
            fix = "compare the columns of model.holdout.data with mlship check, and its label with what the model predicts"
            yield Result("holdout", "fail", of, "not measured", ", ".join(model.holdout.min), str(error), fix)
            return
        qualities.write(self.side.content, name, found)
        limits = [limit_from(metric, said) for metric, said in model.holdout.min.items()]
        baseline, reason = self._baseline(qualities, name, file)
        yield from results(found, limits, baseline, reason, of)

    def _baseline(self, qualities: Qualities, name: str, file: RowsFile) -> tuple[Quality | None, str]:
        """What was measured of the live release on the same rows; else why there is nothing.

        With --live what its deploy recorded: what this machine knows was written just now, and would be compared with itself.
        """
        if self._live is None:
            return None, self._no_live
        here = None if self.wishes.live else qualities.of(self._live.content, name, file.sha256)
        found = here or quality_of(self._live.quality, name, file.sha256)
        never = "was deployed without a figure of these rows" if self.wishes.live else "was never measured on these rows"
        return found, "" if found else f"{self._live.name} {never}"

    def _against_live(self, name: str, schema: Mapping[str, Any] | None) -> Iterator[Result]:
        if not self.wants("schema"):
            return
        of = name if len(self.side.proofs) > 1 else ""
        if self._live is None:
            yield Result("schema", "inconclusive", of, "", UNBROKEN, self._no_live, "mlship deploy")
            return
        if name not in self._live.proofs:
            return  # new, or gone under its old name: what is served tells
        before = self._live.schema(name)
        if before is None or schema is None:
            why = f"{self._live.name} does not tell what {name} takes"
            fix = "mlship test --key NAME, where serve.auth judges callers; mlship status"
            yield Result("schema", "inconclusive", of, "", UNBROKEN, why, fix)
            return
        yield _schema_result(schema_change(before, schema), of, self.wishes.breaking)

    def _service_against_live(self) -> Iterator[Result]:
        if self._live is None or not self._live.proofs or not self.wants("schema"):
            return
        found = service_change(self._live.serving, tuple(self._live.proofs), self.side.serving, tuple(self.side.proofs))
        if found.breaking or found.compatible:
            yield _schema_result(found, "service", self.wishes.breaking)

    def _change(self) -> Iterator[Result]:
        gates = self._change_gates()
        if not self.wants("change") or (not gates and not self.wishes.only):
            return
        if self._live is None:
            wanted = ", ".join(gate.wanted for gate in gates)
            yield Result("change", "inconclusive", "", "", wanted, self._no_live, "mlship deploy")
            return
        moved = self._moved(self._live)
        if not gates:
            measured = f"{moved * 100:.3g} %" if moved is not None else ""
            yield Result("change", "inconclusive", "", measured, why=IN_VAIN, fix=GATES["change"])
        for gate, judged in zip(gates, judge_change(gates, moved).parts, strict=True):
            measured = gate.text(moved) if moved is not None else ""
            fix = _allowing(moved) if judged.why and moved is not None else ""
            yield Result("change", judged.verdict, "", measured, gate.wanted, judged.why, fix)

    def _change_gates(self) -> list[Gate]:
        if self.wishes.max_change is not None:
            return [Gate("prediction_change", "<=", self.wishes.max_change)]
        return [gate for said in self._project.rollout.gates if not (gate := gate_from(said)).is_measured]

    def _moved(self, live: Side) -> float | None:
        """The most of all models; None where one cannot be compared."""
        moved: list[float | None] = []
        for name, proof in self.side.proofs.items():
            if proof.instances and name in live.proofs:
                moved.append(prediction_change(_native(live, name, proof.instances), _native(self.side, name, proof.instances)))
        known = [value for value in moved if value is not None]
        return max(known) if known and len(known) == len(moved) else None


def _allowing(moved: float) -> str:
    """A limit above it, in whole percents."""
    limit = math.floor(moved * 100 + 1) / 100
    return f"mlship test --max-change {limit:g}, if the predictions are meant to move"


def _schema_result(found: Change, of: str, breaking: bool) -> Result:
    """breaking: what breaks callers is meant to."""
    told = "; ".join((*found.breaking, *found.compatible)) or "unchanged"
    if found.breaking and not breaking:
        fix = "serve and take what was served and taken before; or, when callers are ready for it: mlship test --breaking"
        return Result("schema", "fail", of, told, UNBROKEN, "; ".join(found.breaking), fix)
    return Result("schema", "pass", of, told, "--breaking" if found.breaking else UNBROKEN)


def rows_of(context: Context, project: Project, name: str, model: Model) -> RowsFile:
    """Of model.holdout. Raises FindingsError."""
    evidence = evidence_of(project, prefix_of(project, name), model, Memo(context.home.memo))
    file = next((file for file in evidence.files if file.kind == HOLDOUT), None)
    if file is None:
        raise FindingsError("model.holdout cannot be read", evidence.findings, exit=Exit.USAGE, code="rows-holdout")
    return file


def prefix_of(project: Project, name: str) -> str:
    """The keys that lead to the model."""
    is_one = len(project.models) == 1 and f"models.{name}" not in project.positions
    return "model" if is_one else f"models.{name}"


def _readiness(address: Address) -> bytes:
    return f"GET /readyz HTTP/1.1\r\nHost: {address.host}:{address.port}\r\nConnection: close\r\n\r\n".encode()


def _native(side: Side, model: str, rows: Sequence[Any]) -> Answer:
    path, body = asked("native", model, side.path(model), rows, ())
    return side.post(path, body)


def _live_beside(context: Context, project: Project, where: Where, wishes: Wishes) -> tuple[Side | None, str]:
    """A target that cannot be reached leaves the gates that need it open, and the others as they are."""
    try:
        found = live_side(context, project, where.host)
    except MlshipError as error:
        return None, f"the live release cannot be asked: {error.what}"
    if found is None:
        return None, f"there is no live release on {project.target}"
    return with_key(found, _callers_key(context, wishes)), ""


def _callers_key(context: Context, wishes: Wishes) -> str:
    if wishes.key and not context.environ.get(wishes.key):
        raise MlshipError(f"the variable {wishes.key} is not set", fix=f"{wishes.key}=KEY mlship test --key {wishes.key}")
    return context.environ[wishes.key] if wishes.key else ""


def _no_sample(gate: str) -> Result:
    return Result(gate, "inconclusive", why="no model was built with a sample", fix=GATES["sample"])


def _refuse_unknown(only: Sequence[str]) -> None:
    for name in only:
        if name not in GATES:
            meant = nearest(name, GATES)
            hint = f"did you mean {meant}?" if meant else f"known: {', '.join(GATES)}"
            raise MlshipError(f"there is no gate {name[:40]}", fix=hint)


def _refuse_unreadable(context: Context, project: Project, wishes: Wishes) -> None:
    """Before anything is built or started. Raises MlshipError."""
    for name, model in project.models:
        if model.golden and (not wishes.only or "golden" in wishes.only):
            truths(project.root, model.golden, project.at(f"{prefix_of(project, name)}.golden"))
        if model.holdout and model.holdout.min and (not wishes.only or "holdout" in wishes.only):
            rows_of(context, project, name, model)


def _named_in_vain(said: Sequence[Result], wishes: Wishes) -> list[Result]:
    """Gates that --only names, and of which nobody says what they must keep."""
    done = {result.gate for result in said}
    found = []
    for gate in dict.fromkeys(wishes.only):
        is_elsewhere = wishes.live and gate in OF_BUILT
        why = "it is asked of the built image only" if is_elsewhere else IN_VAIN
        if gate not in done:
            found.append(
                Result(gate, "inconclusive", why=why, fix="mlship test without --live" if is_elsewhere else GATES[gate])
            )
    return found


def _not_asked(said: Sequence[Result], wishes: Wishes, side: Side) -> Iterator[NotAsked]:
    done = {result.gate for result in said}
    for gate, how in GATES.items():
        if gate in done:
            continue
        if wishes.live and gate in OF_BUILT:
            yield NotAsked(gate, "asked of the built image only: mlship test without --live")
        elif wishes.only and gate not in wishes.only:
            yield NotAsked(gate, f"left out by --only; {how}")
        else:
            yield NotAsked(gate, how)
