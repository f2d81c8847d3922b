"""mlship's main job on real data, twice, step by step: `make demo`.

Each time: train, init, check, build, deploy, predict, train and deploy a second version while requests flow, status,
history, rollback, destroy. Every promise is checked; the first one that does not hold ends the demo with exit 1.
"""

from __future__ import annotations

import csv
import hashlib
import math
import shlex
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path
from typing import Any

from commands import Broken, Stage, environment, seconds_since
from traffic import Traffic, ask, wait_for

EXAMPLES = Path(__file__).resolve().parent.parent
FOLDER = EXAMPLES.parent / ".demo"
ROWS = 20
STORIES = {
    "numeric": "569 breast tumours, 30 measurements each: is it malignant?",
    "penguins": "344 penguins: text columns, missing values and a transformer from the project's own package",
}


def main() -> int:
    started = time.monotonic()
    stage = Stage(FOLDER, environment(FOLDER), training_environment())
    for name in STORIES:  # a demo that was killed may have left a service behind
        clean_up(stage, name)
    try:
        for name, about in STORIES.items():
            story(stage, name, about)
    except Broken as error:
        print(f"\nThe demo FAILED: {error}", file=sys.stderr)
        return 1
    finally:
        for name in STORIES:
            clean_up(stage, name)
    ending(stage, started)
    return 0


def story(stage: Stage, name: str, about: str) -> None:
    """One model's whole life."""
    print(f"\n=== {name}: {about}")
    project = fresh_project(name)
    title("A first version, trained in an environment that knows nothing of mlship")
    stage.train(project, version=1)
    rows = some_rows(project / "data.csv")
    first_answers = stage.ask_model(project, rows)

    title("From the model file to a project")
    stage.mlship(project, "init --model model.joblib --data data.csv --target local")
    stage.mlship(project, "check")

    title("An image, without any daemon")
    built = stage.mlship(project, "build")
    again = stage.mlship(project, "build")
    promise(again["unchanged"] and again["image"]["content"] == built["image"]["content"], "the second build had nothing to do")
    stage.proved("a second build with nothing changed does nothing")

    title("In service")
    first = stage.mlship(project, "deploy --yes")
    endpoint = first["endpoint"]
    same_answers(stage, endpoint, rows, first_answers, first["release"]["id"])

    title("A second version, while requests flow")
    stage.train(project, version=2)
    second_answers = stage.ask_model(project, rows)
    with Traffic(endpoint, {"instances": rows[:1]}) as traffic:
        second = stage.mlship(project, "deploy --yes")
        new = second["release"]["id"]
        arrived = wait_for(lambda: traffic.answers[new] >= 20, timeout_s=10)
    promise(arrived, f"callers reach {new}")
    promise(not traffic.failures, f"no request is lost; lost {len(traffic.failures)}, the first: {traffic.failures[:1]}")
    answered = ", ".join(f"{count} by {release}" for release, count in sorted(traffic.answers.items()))
    stage.proved(f"0 of {traffic.answers.total()} requests lost during the handover ({answered})")
    same_answers(stage, endpoint, rows, second_answers, new)

    status = stage.mlship(project, "status")
    promise(status["release"]["id"] == new and status["previous"]["id"] == first["release"]["id"], "status shows both releases")
    history = stage.mlship(project, "history")
    promise([entry["release"] for entry in history["entries"]] == [first["release"]["id"], new], "history shows both releases")
    stage.proved("status and history show both releases")

    title("Back to the first one, from a folder that knows nothing")
    empty = stage.folder / "elsewhere"
    empty.mkdir(exist_ok=True)
    stage.mlship(empty, f"rollback {project_name(name)} --target local --yes")
    same_answers(stage, endpoint, rows, first_answers, first["release"]["id"])

    title("And gone")
    stage.mlship(project, "destroy --yes")
    nothing_is_left(stage, empty, endpoint)


def title(text: str) -> None:
    print(f"\n--- {text}", flush=True)


def promise(holds: bool, what: str) -> None:
    if not holds:
        raise Broken(f"not true: {what}")


def project_name(name: str) -> str:
    """As `init` derives it from the folder."""
    return name


def fresh_project(name: str) -> Path:
    """A copy of the example without mlship.yaml and sample: those are what `init` writes."""
    project = FOLDER / name
    shutil.rmtree(project, ignore_errors=True)
    shutil.copytree(
        EXAMPLES / name,
        project,
        ignore=shutil.ignore_patterns("mlship.yaml", "*.json", "*.lock", "model.*", "data.csv", "__pycache__"),
    )
    return project


def training_environment() -> Path:
    """A virtual environment with what the examples' train.py need; made once, again when their requirements change."""
    folder = FOLDER / "training"
    requirements = [EXAMPLES / name / "requirements.txt" for name in STORIES]
    wanted = hashlib.sha256(b"".join(path.read_bytes() for path in requirements)).hexdigest()
    stamp = folder / "requirements.sha256"
    python = folder / "bin" / "python"
    if not (stamp.exists() and stamp.read_text() == wanted):
        print("Setting up a training environment (scikit-learn, pandas) in .demo/training", flush=True)
        venv.create(folder, clear=True, with_pip=True, symlinks=True)
        files = [word for path in requirements for word in ("-r", str(path))]
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *files], check=True)
        stamp.write_text(wanted)
    return python


def some_rows(file: Path) -> list[dict[str, Any]]:
    """Rows as a caller sends them: those with missing values first."""
    with file.open(newline="") as lines:
        rows = [{name: value_of(text) for name, text in row.items()} for row in csv.DictReader(lines)]
    return sorted(rows, key=lambda row: None not in row.values())[:ROWS]


def value_of(text: str) -> float | str | None:
    if text == "":
        return None
    try:
        return float(text)
    except ValueError:
        return text


def same_answers(stage: Stage, endpoint: str, rows: list[dict[str, Any]], own: dict[str, Any], release: str) -> None:
    """The service answers what the model file answers, and says which release it is."""
    answer = ask(endpoint, "/predict", {"instances": rows})
    promise(answer.status == 200, f"the service answers; it said {answer.status} {answer.document}")
    promise(answer.release == release, f"the server says {release}; it said {answer.release}")
    promise(answer.document["predictions"] == own["predictions"], "predictions equal the model's own")
    served = answer.document.get("probabilities", [])
    close = len(served) == len(own["probabilities"]) and all(
        math.isclose(left, right, rel_tol=1e-6, abs_tol=1e-9)
        for one, other in zip(served, own["probabilities"], strict=True)
        for left, right in zip(one, other, strict=True)
    )
    promise(close, "probabilities equal the model's own")
    print(f"\n  $ curl {endpoint}/predict -d '{{\"instances\": [{ROWS} rows]}}'\n  {short(answer.document['predictions'])}")
    stage.proved(f"{release} answers {ROWS} rows exactly as the model itself, asked at {endpoint}")


def short(values: list[Any]) -> str:
    return f"{', '.join(map(str, values[:6]))}, ..."


def nothing_is_left(stage: Stage, folder: Path, endpoint: str) -> None:
    try:
        ask(endpoint, "/livez", timeout_s=2)
    except OSError:
        pass
    else:
        raise Broken(f"{endpoint} still answers after destroy")
    listed = stage.mlship(folder, "list --target local")
    promise(listed["services"] == [], "no service is left")
    leftovers = [path for path in (stage.folder / "home" / "local").rglob("*") if path.is_file() and path.suffix != ".lock"]
    promise(not leftovers, f"no file of the service is left; found {leftovers[:3]}")
    stage.proved("destroy left nothing: no answer, no service, no file")


def clean_up(stage: Stage, name: str) -> None:
    if (stage.folder / "home" / "local").exists():
        command = [sys.executable, "-m", "mlship", "destroy", project_name(name), "--target", "local", "--yes", "--quiet"]
        subprocess.run(command, cwd=stage.folder, env=stage.environ, capture_output=True, check=False)


def ending(stage: Stage, started: float) -> None:
    write_activate(stage)
    print(f"\n=== {len(stage.kept)} promises kept in {seconds_since(started)}")
    print(
        f"""
Try next, with the penguins that the demo left in .demo/penguins:
  . {stage.folder}/activate; cd {stage.folder / "penguins"}
  mlship deploy                        in service again, in a second
  mlship predict                       ask it; or open /docs at its address
  mlship plan --json                   what a deploy would do
  mlship destroy                       take it away
Your own model:
  mlship init --model path/to/model.joblib --data some-rows.csv
  mlship build && mlship deploy"""
    )


def write_activate(stage: Stage) -> None:
    """What the demo's commands ran with, for the person's own shell."""
    words = {name: stage.environ[name] for name in ("MLSHIP_HOME", "VIRTUAL_ENV")}
    path = f"{Path(sys.executable).parent}:$PATH"
    lines = [*(f"export {name}={shlex.quote(value)}" for name, value in words.items()), f'export PATH="{path}"']
    (stage.folder / "activate").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
