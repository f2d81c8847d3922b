"""Rules across the keys of a model, and the files that it names."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mlship.config import quality
from mlship.config.addresses import is_address, problem_of, scheme_of, without_user
from mlship.config.facts import Facts, Problem, Rule, models_of
from mlship.config.nodes import Map
from mlship.config.words import clipped


def one_way_to_name_models(facts: Facts) -> Iterator[Problem]:
    given = [key for key in ("model", "models") if key in facts.root.entries]
    if not given:
        yield Problem(("model",), "the key is missing", "write model: FILE", "missing-key")
    elif len(given) == 2:
        yield Problem(("models",), "model and models stand side by side", "keep one of them")
    elif given == ["models"] and isinstance(facts.root.entries["models"], Map) and not facts.root.entries["models"].entries:
        yield Problem(("models",), "there is no model in it", "write model: FILE instead", "missing-key")


def paths_are_paths(facts: Facts) -> Iterator[Problem]:
    for path, text in _paths(facts):
        if text.startswith("~"):
            yield Problem(path, f"{clipped(text)} starts with ~, which only a shell expands", "write the whole path")
        elif path[-1] != "uri" and is_address(text):
            yield Problem(path, f"{clipped(without_user(text))} is a URL, not a path", "name a file on this machine")


def _paths(facts: Facts) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every value that names a file on this machine."""
    for path, model in models_of(facts):
        for key in ("uri", "sample", "golden", "reference"):
            if text := getattr(model, key):
                yield (*path, key), text
        for text in model.code:
            yield (*path, "code", text), text
        if model.holdout:
            yield (*path, "holdout", "data"), model.holdout.data
    said = facts.document
    traffic = getattr(said.cost.traffic, "profile", None)
    for path, text in (
        (("build", "requirements"), said.build.requirements),
        (("serve", "hooks"), said.serve.hooks),
        (("cost", "price_overrides"), said.cost.price_overrides),
        (("cost", "traffic", "profile"), traffic),
        (("monitoring", "retrain", "body"), said.monitoring.retrain.body if said.monitoring.retrain else None),
    ):
        if text:
            yield path, text
    if said.targets.docker.tls:
        yield ("targets", "docker", "tls", "cert"), said.targets.docker.tls.cert
    for name, sources in said.secrets.items():
        for target, text in sources.items():
            if text.startswith("file:"):
                yield ("secrets", name, target), text.removeprefix("file:")


def code_stays_inside(facts: Facts) -> Iterator[Problem]:
    """Code goes into the image: a path or a link that leads out of the project's folder would carry other people's files."""
    home = facts.resolve("")
    for path, model in models_of(facts):
        for text in model.code:
            real = facts.resolve(text)
            spot = (*path, "code", text)
            if real == home:
                fix = "name the packages and modules that the model needs"
                yield Problem(spot, f"{clipped(text)} is the project's whole folder, with everything that lies in it", fix)
            elif not real.is_relative_to(home):
                yield Problem(spot, f"{clipped(text)} leads out of the project's folder", "move or copy the code into it")


def models_are_somewhere(facts: Facts) -> Iterator[Problem]:
    for path, model in models_of(facts):
        if wrong := problem_of(model.uri):
            yield Problem((*path, "uri"), *wrong, "bad-address")
        elif model.write_back and scheme_of(model.uri) != "models":
            fix = "write uri: models:/NAME@alias, or delete it"
            yield Problem((*path, "write_back"), "only MLflow's registry is told what is deployed", fix)


def answers_have_one_name_each(facts: Facts) -> Iterator[Problem]:
    serve = facts.document.serve
    for name in serve.passthrough:
        if name == "predictions" or name in serve.outputs:
            said = "serve.outputs names it, too" if name in serve.outputs else "the answer has its predictions there"
            path = ("serve", "passthrough", name)
            yield Problem(path, f"{clipped(name)} cannot go through: {said}", "send the field under another name")


def hooks_are_a_module_of_the_project(facts: Facts) -> Iterator[Problem]:
    text, path = facts.document.serve.hooks, ("serve", "hooks")
    if text is None:
        return
    if not re.fullmatch(r"(.*/)?[A-Za-z_][A-Za-z0-9_]*\.py", text):
        yield Problem(path, f"{clipped(text)} is no Python module", "name a file such as hooks.py")
    elif not facts.resolve(text).is_relative_to(facts.resolve("")):
        yield Problem(path, f"{clipped(text)} leads out of the project's folder", "move or copy the file into it")


def loader_goes_with_python(facts: Facts) -> Iterator[Problem]:
    for path, model in models_of(facts):
        if model.loader and model.framework not in (None, "python", "torch"):
            fix = "delete it, or write framework: python"
            yield Problem((*path, "loader"), f"a loader is for framework python or torch, not {clipped(model.framework)}", fix)
        if model.framework == "python" and not model.loader:
            fix = "write loader: module:Class, with load(path) and predict(rows)"
            yield Problem((*path, "framework"), "framework python needs a loader", fix, "missing-key")


def what_int8_costs_can_be_measured(facts: Facts) -> Iterator[Problem]:
    for path, model in models_of(facts):
        if model.quantize is None:
            continue
        if model.holdout is None:
            what = "nobody knows what int8 costs without labelled rows that the model has not seen"
            fix = "write holdout: {data: FILE, label: COLUMN} beside it, or delete it"
            yield Problem((*path, "quantize"), what, fix, "missing-key")
        if model.engine != "auto":
            what = f"engine {model.engine} computes the model as it is, and quantize makes another one of it"
            yield Problem((*path, "engine"), what, "delete one of them")
        if facts.document.resources.gpu is not None:
            what = "int8 is measured and computed on the CPU, and resources.gpu is set"
            yield Problem((*path, "quantize"), what, "delete one of them")


def quality_can_be_measured(facts: Facts) -> Iterator[Problem]:
    for path, model in models_of(facts):
        for metric, said in (model.holdout.min if model.holdout else {}).items():
            try:
                quality.parse(metric, said)
            except ValueError as error:
                what, _, fix = str(error).partition("; ")
                yield Problem((*path, "holdout", "min", metric), what, fix)


MODEL_RULES: tuple[Rule, ...] = (
    one_way_to_name_models,
    paths_are_paths,
    models_are_somewhere,
    code_stays_inside,
    answers_have_one_name_each,
    hooks_are_a_module_of_the_project,
    loader_goes_with_python,
    what_int8_costs_can_be_measured,
    quality_can_be_measured,
)
