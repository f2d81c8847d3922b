"""Loading a model in the environment that trained it: what init and check learn from, and what a build is compared with."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlship.disk import scratch_folder
from mlship.errors import Exit, MlshipError
from mlship.flows.context import Context
from mlship.flows.gather import Gathered
from mlship.frameworks.base import Loaded, ModelSpec
from mlship.frameworks.child import child_python, load_in_child
from mlship.frameworks.introduce import introduce
from mlship.image.manifest import model_entry, model_path
from mlship.parallel import Ahead
from mlship.releases.release import Proof
from mlship.targets.base import Answer
from mlship.targets.verify import difference

LOAD_TIMEOUT_S = 300.0
TWICE = 512 * 2**20  # bytes of models up to which they are loaded in two environments at the same time


def load_in_training(context: Context, python: Path, spec: ModelSpec) -> Loaded:
    """Loads the model in a locked-down child of the training environment's interpreter.

    Raises MlshipError with exit 5 and the cause when it does not load there.
    """
    with staged(spec) as root:
        child = child_python(python, context.home, context.environ, (root / "code",))
        return load_in_child(context.runner, child, model_entry(spec), root, spec.sample or None, timeout_s=LOAD_TIMEOUT_S)


def introduced(context: Context, python: Path, spec: ModelSpec, data: Path | None) -> tuple[Loaded, tuple[Any, ...]]:
    """What the model is, and up to 20 rows of `data` that it answers. Raises MlshipError.

    Without data the model is asked what came along as its sample.
    """
    if data is None:
        return load_in_training(context, python, spec), ()
    with staged(spec) as root:
        child = child_python(python, context.home, context.environ, (root / "code",))
        return introduce(context.runner, child, model_entry(spec), root, data, timeout_s=LOAD_TIMEOUT_S)


def trained(context: Context, gathered: Gathered) -> Callable[[], Mapping[str, Loaded]]:
    """The models that have a sample, as the environment that trained them loads them: begun now, while the image is made.

    Where only a file of requirements is known there are none. Large ones are loaded when the call is made, alone.
    """
    python = gathered.environment.trained_by
    asked = [spec for spec in gathered.specs if spec.sample] if python is not None else []

    def load() -> Mapping[str, Loaded]:
        return {spec.name: load_in_training(context, python, spec.equal) for spec in asked if python is not None}

    return Ahead(load).result if asked and sum(spec.trained.size for spec in asked) <= TWICE else load


def compared_with_training(
    context: Context, gathered: Gathered, loaded: Mapping[str, Loaded], answered: Callable[[], Mapping[str, Loaded]]
) -> tuple[str, ...]:
    """`sample 20/20 equal to .venv` for each model with a sample; nothing where only a file of requirements is known.

    loaded: in the image. answered: as `trained` gives it.
    Raises MlshipError with exit 5 when the image answers otherwise than the environment that trained the model.
    """
    source = gathered.environment.source
    with_sample = [spec for spec in gathered.specs if spec.sample and gathered.environment.trained_by is not None]
    if with_sample:
        context.progress.step("check", f"{', '.join(spec.name for spec in with_sample)} answers as in {source}")
    there = answered() if with_sample else {}
    answers = [(spec, loaded[spec.name].answers) for spec in with_sample]
    return tuple(_compared(spec, here, there[spec.name], source) for spec, here in answers if here is not None)


def _compared(spec: ModelSpec, in_image: Mapping[str, object], trained: Loaded, source: str) -> str:
    import json

    tolerance = {"rtol": spec.tolerance.rtol, "atol": spec.tolerance.atol}
    answer = Answer(200, json.dumps(dict(in_image)).encode())
    wrong = difference(answer, Proof(spec.sample, trained.answers or {}, tolerance))
    if wrong:
        raise MlshipError(
            f"{spec.name} answers otherwise in the image than in {source}: {wrong}",
            fix="the packages differ; mlship lock --refresh and build again, or widen model.tolerance",
            exit=Exit.BUILD_FAILED,
            code="other-answers",
        )
    return f"sample {len(spec.sample)}/{len(spec.sample)} equal to {source} (rtol {spec.tolerance.rtol:g})"


@contextmanager
def staged(spec: ModelSpec) -> Iterator[Path]:
    """The model and its code laid out as in an image, in a folder that is gone afterwards: links, or copies of small files."""
    with scratch_folder() as root:
        single = len(spec.files) == 1 and not model_path(spec).endswith(f"/{spec.name}")
        for file in spec.files:
            place = root / model_path(spec) if single else root / model_path(spec) / file.name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(file.path.absolute())
        (root / "code").mkdir()
        for source in spec.code:
            place = root / "code" / source.name
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source.path, place)
        yield root
