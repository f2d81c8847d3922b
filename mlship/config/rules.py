"""What must hold between keys, or cannot be said by a type: one small function a rule, collected in RULES."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import get_args
from urllib.parse import urlsplit

from mlship.config import quality
from mlship.config.addresses import is_address, problem_of, scheme_of
from mlship.config.gates import parse
from mlship.config.nodes import Map
from mlship.config.schema import Document, Model, TargetName
from mlship.config.secrets import PLACES, REFERENCE, STORES, WITH_SECRETS, check_stored, named_by, source_of
from mlship.config.words import clipped, nearest


@dataclass(frozen=True)
class Facts:
    """One variant of the file. root: as it is written, with short forms expanded.

    resolve: a path of the file -> where it really leads, links followed; `resolve("")` is the folder of mlship.yaml.
    """

    document: Document
    root: Map
    resolve: Callable[[str], Path]


@dataclass(frozen=True)
class Problem:
    """path: the keys that lead to the value; items of lists by their text."""

    path: tuple[str, ...]
    what: str
    fix: str = ""
    code: str = "rule"


Rule = Callable[[Facts], Iterator[Problem]]


def problems(facts: Facts) -> Iterator[Problem]:
    for rule in RULES:
        yield from rule(facts)


def models_of(facts: Facts) -> Iterator[tuple[tuple[str, ...], Model]]:
    """Every model and the keys that lead to it."""
    if isinstance(facts.document.model, Model):
        yield ("model",), facts.document.model
    for name, model in facts.document.models.items():
        if isinstance(model, Model):
            yield ("models", name), model


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
            yield Problem(path, f"{clipped(_without_user(text))} is a URL, not a path", "name a file on this machine")


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


RESERVED = re.compile(r"(MLSHIP|LD|AIP|SAGEMAKER)_.*|PYTHONPATH|PYTHONHOME|PORT", re.ASCII)
SWITCHES = ("MLSHIP_ACCESS_LOG", "MLSHIP_METRICS")  # of the server, for users


def reserved_names_stay_free(facts: Facts) -> Iterator[Problem]:
    for section in ("env", "secrets"):
        for name in getattr(facts.document, section):
            if RESERVED.fullmatch(name) and not (section == "env" and name in SWITCHES):
                yield Problem((section, name), f"{name} is set by mlship or the platform", "choose another name", "reserved")
    for name in facts.document.labels:
        if name.startswith("mlship"):
            yield Problem(("labels", name), "labels that start with mlship are mlship's own", "choose another name", "reserved")


def secrets_have_places(facts: Facts) -> Iterator[Problem]:
    targets = get_args(TargetName)
    for name, sources in facts.document.secrets.items():
        if name in facts.document.env:
            yield Problem(("secrets", name), f"{name} stands in env too", "keep one of them")
        if not sources:
            yield Problem(("secrets", name), "it says no place for any target", f"write {name}: {{docker: env}}")
        for target, text in sources.items():
            path = ("secrets", name, target)
            if target not in targets:
                near = nearest(target, targets)
                yield Problem(
                    path, f"there is no target {clipped(target)}", f"did you mean {near}?" if near else "write docker"
                )
            elif target in (*WITH_SECRETS, *STORES):
                yield from _source_problem(path, name, text)


def _source_problem(path: tuple[str, ...], name: str, text: str) -> Iterator[Problem]:
    """What is no place is not repeated: it may be the value itself, written here by mistake."""
    try:
        if path[-1] in STORES:
            check_stored(path[-1], text)
        else:
            source_of(name, text)
    except ValueError as error:
        what, _, fix = str(error).partition("; ")
        yield Problem(path, what, fix)


def keys_of_certificates_are_secrets(facts: Facts) -> Iterator[Problem]:
    tls = facts.document.targets.docker.tls
    path = ("targets", "docker", "tls", "key")
    if tls and not tls.key.startswith(REFERENCE):
        yield Problem(path, "this names no secret", "write secret:NAME, with NAME a key of secrets")
    elif tls and named_by(tls.key) not in facts.document.secrets:
        fix = f'write secrets: {{{clipped(named_by(tls.key))}: {{docker: "file:PATH"}}}}'
        yield Problem(path, f"there is no secret {clipped(named_by(tls.key))}", fix, "missing-key")


def callers_can_be_told_apart(facts: Facts) -> Iterator[Problem]:
    """A service with serve.auth has what it needs to judge callers, on the target that it is for."""
    auth = facts.document.serve.auth
    if auth is None:
        if facts.document.public and facts.document.target in STORES:
            fix = "write serve.auth: {api_keys: secret:NAME}, or delete public"
            yield Problem(("public",), "everybody on the internet could call it: serve.auth is not set", fix, "open-to-all")
        return
    path = ("serve", "auth")
    if auth.api_keys is None and auth.jwt is None:
        fix = "write api_keys: secret:NAME, or jwt: {issuer: ..., audience: ..., jwks: ...}"
        yield Problem(path, "nothing in it lets anybody in", fix, "missing-key")
    if auth.api_keys is not None:
        yield from _secret_problem(facts, (*path, "api_keys"), auth.api_keys)
    if auth.jwt is None:
        return
    place = (*path, "jwt", "jwks")
    if auth.jwt.jwks.startswith(REFERENCE):
        yield from _secret_problem(facts, place, auth.jwt.jwks)
    elif not re.fullmatch(r"https://[^\s@]+|http://(127\.0\.0\.1|localhost|\[::1\])[:/][^\s@]*", auth.jwt.jwks):
        what = "this is neither a URL that starts with https:// nor secret:NAME"
        yield Problem(place, what, "name the provider's jwks_uri, or a secret with its JWK set")
    elif facts.document.target == "docker" and not facts.document.targets.docker.egress:
        fix = "write egress: true under targets.docker, or put the provider's JWK set into a secret: jwks: secret:NAME"
        yield Problem(place, "replicas on the target docker reach no other machine, and no identity provider either", fix)


def _secret_problem(facts: Facts, path: tuple[str, ...], reference: str) -> Iterator[Problem]:
    """What is no name of a secret is not repeated: it may be the value itself, written here by mistake."""
    name = named_by(reference)
    if not reference.startswith(REFERENCE):
        yield Problem(path, "this names no secret", "write secret:NAME, with NAME a key of secrets")
    elif name not in facts.document.secrets:
        target = facts.document.target
        fix = f"write secrets: {{{clipped(name)}: {{{target}: {PLACES.get(target, 'env')}}}}}"
        yield Problem(path, f"there is no secret {clipped(name)}", fix, "missing-key")


def urls_are_safe(facts: Facts) -> Iterator[Problem]:
    mirror = facts.document.build.mirror
    if mirror and (what := _url_problem(_address_of(mirror), ("http", "https"))):
        yield Problem(("build", "mirror"), what, "write http://HOST/PATH; credentials belong into the machine's apt settings")
    for host in facts.document.targets.docker.hosts:
        if what := _url_problem(host, ("ssh", "tcp", "unix", "https"), with_user=True):
            yield Problem(("targets", "docker", "hosts", host), what, "write for example ssh://deploy@host")


def _address_of(mirror: str) -> str:
    """Of `[signed-by=/k.gpg] http://HOST/PATH SUITE COMPONENT...`, a line of sources.list without `deb`; else all of it."""
    found = re.fullmatch(r"(?:\[[^][\n]*\][ \t]*)?(\S+)(?:[ \t]+[A-Za-z0-9][A-Za-z0-9.+~/-]*){2,}", mirror.strip())
    return found[1] if found else mirror


def _url_problem(text: str, schemes: tuple[str, ...], with_user: bool = False) -> str:
    """Why a URL is not taken; empty for a good one. A user or host with a leading dash would be an option to ssh."""
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        return "this is not a URL"
    if url.scheme not in schemes or not (url.hostname or (url.scheme == "unix" and url.path)):
        return f"{clipped(_without_user(text))} is not a URL that starts with {schemes[0]}://"
    if url.password is not None or (url.username is not None and not with_user):
        return "the URL has credentials in it"
    if url.query or url.fragment or re.search(r"[\s'\"\\`$;|&<>]", text):
        return f"{clipped(text)} has characters that do not belong into such a URL"
    if (url.username or "").startswith("-") or (url.hostname or "").startswith("-"):
        return f"{clipped(text)} has a name that starts with a dash"
    return ""


def _without_user(text: str) -> str:
    return re.sub(r"//[^/]*@", "//***@", text)


def addresses_are_addresses(facts: Facts) -> Iterator[Problem]:
    targets = facts.document.targets
    for name, host in (("local", targets.local.host), ("docker", targets.docker.host)):
        if host != "localhost" and not _is_address(host):
            fix = "write 127.0.0.1 for this machine only, 0.0.0.0 for every network"
            yield Problem(("targets", name, "host"), f"{clipped(host)} is not an address to listen on", fix)


def _is_address(text: str) -> bool:
    try:
        return not ipaddress.ip_address(text).is_multicast and "%" not in text
    except ValueError:
        return False


def ranges_are_ordered(facts: Facts) -> Iterator[Problem]:
    replicas = facts.document.scale.replicas
    if replicas.min > replicas.max:
        what = f"{replicas.min}..{replicas.max}: the minimum is above the maximum"
        yield Problem(("scale", "replicas"), what, f"write {replicas.max}..{replicas.min}, or raise the maximum")


def steps_rise_to_everyone(facts: Facts) -> Iterator[Problem]:
    rollout = facts.document.rollout
    shares = [int(step.removesuffix("%")) for step in rollout.steps]
    if not shares:
        return
    path = ("rollout", "steps")
    if rollout.strategy != "canary":
        said = f"strategy is {rollout.strategy}" if rollout.strategy else "there is no strategy"
        yield Problem(path, f"steps belong to a canary, and {said}", "write strategy: canary, or delete the steps")
    for before, after in pairwise(shares):
        if after <= before:
            yield Problem((*path, f"{after}%"), f"{after}% follows {before}%: steps rise", "write each share once, rising")
    if shares[-1] != 100:
        yield Problem(path, f"the last step is {shares[-1]}%", "add 100%: it ends with all callers")


def gates_can_be_judged(facts: Facts) -> Iterator[Problem]:
    """Callers are watched between two steps of a canary, and while blue-green keeps the old copies warm; copies of their requests
    while they are mirrored; never otherwise.
    """
    rollout = facts.document.rollout
    watches = rollout.strategy in ("canary", "blue-green") or rollout.mirror is not None
    said = f"strategy {rollout.strategy}" if rollout.strategy else "the target's own strategy"
    for text in rollout.gates:
        path = ("rollout", "gates", text)
        try:
            gate = parse(text)
        except ValueError as error:
            what, _, fix = str(error).partition("; ")
            yield Problem(path, what, fix)
        else:
            if gate.is_measured and not watches:
                what = f"{gate.metric} is measured while callers use the release; {said} moves all of them at once"
                yield Problem(path, what, "write strategy: canary, or blue-green")
    if rollout.bake and not watches:
        yield Problem(("rollout", "bake"), f"{said} has nothing to watch", "write strategy: canary, or blue-green")


def a_mirror_is_watched(facts: Facts) -> Iterator[Problem]:
    """What is mirrored and not watched tells nothing; what was stopped has no requests that could be copied."""
    rollout, path = facts.document.rollout, ("rollout", "mirror")
    if rollout.mirror is None:
        return
    if not rollout.bake:
        yield Problem(path, "a mirror without rollout.bake is watched for no time", "write rollout.bake: 10m, or delete mirror")
    if rollout.strategy == "recreate":
        what = "strategy recreate stops the copies whose requests a mirror copies"
        yield Problem(path, what, "write strategy: blue-green, or delete mirror")


_IMAGE = re.compile(
    r"(?P<registry>\[[0-9A-Fa-f:]+\](:\d+)?|[A-Za-z0-9][A-Za-z0-9.-]*(:\d+)?)/(?P<name>[a-z0-9][a-z0-9._/-]*)"
    r"(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?"
)
_HUB = re.compile(r"([a-z0-9][a-z0-9._-]*/)?[a-z0-9][a-z0-9._-]*(:[A-Za-z0-9_][A-Za-z0-9._-]*)?(@sha256:[0-9a-f]{64})?")


def bases_are_debian_or_images(facts: Facts) -> Iterator[Problem]:
    """The registry's own client reads the reference again, and more strictly."""
    build, path = facts.document.build, ("build", "base")
    base = build.base
    if base == "debian":
        return
    shown = clipped(re.sub(r"[^/]*@(?=.*/)", "***@", base))
    image = _IMAGE.fullmatch(base)
    registry = image["registry"].lower() if image else ""
    if registry == "docker.io" or (
        _HUB.fullmatch(base) and not any(mark in registry for mark in ".:") and registry != "localhost"
    ):
        fix = f"copy the image to a registry of your own and write REGISTRY/{shown.removeprefix('docker.io/')}, or write debian"
        yield Problem(path, f"{shown} is of Docker Hub, which is not yet built", fix, "not-yet")
    elif image is None:
        fix = "write debian, or REGISTRY/NAME:TAG such as registry.example.com/team/python:3.11-slim"
        yield Problem(path, f"{shown} is neither debian nor an image with its registry", fix, "bad-reference")
    if build.packages:
        fix = (
            f"install them in {shown} (RUN apt-get install -y {' '.join(map(clipped, build.packages))}), or write base: debian"
        )
        what = "packages are added to the base that mlship assembles, and build.base names an image"
        yield Problem(("build", "packages"), what, fix)


def lists_say_things_once(facts: Facts) -> Iterator[Problem]:
    said = facts.document
    lists: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
        (("serve", "protocols"), said.serve.protocols),
        (("serve", "passthrough"), said.serve.passthrough),
        (("build", "packages"), said.build.packages),
        (("build", "whole"), said.build.whole),
        (("build", "platforms"), said.build.platforms or ()),
        (("rollout", "gates"), said.rollout.gates),
        (("targets", "docker", "hosts"), said.targets.docker.hosts),
        (("monitoring", "addresses"), said.monitoring.addresses),
        (("monitoring", "retrain", "when"), said.monitoring.retrain.when if said.monitoring.retrain else ()),
    ]
    for path, model in models_of(facts):
        lists += [((*path, "code"), model.code), ((*path, "trust"), model.trust)]
    for path, items in lists:
        for item, count in Counter(items).items():
            if count > 1:
                yield Problem((*path, item), f"{clipped(item)} stands twice", "keep one of them")


def a_process_has_a_gpu(facts: Facts) -> Iterator[Problem]:
    """Two processes on one GPU would hold the model twice and wait for each other."""
    gpu, workers = facts.document.resources.gpu, facts.document.serve.workers
    if gpu is not None and workers not in ("auto", gpu.count):
        what = f"resources.gpu is {gpu.count}, so there are as many processes: one on each GPU"
        yield Problem(("serve", "workers"), what, "delete it")
    is_own = facts.document.target in ("local", "docker", "fake")
    if gpu is not None and is_own and facts.document.scale.replicas.max > facts.document.scale.replicas.min:
        what = "a range of replicas cannot be followed with resources.gpu: the autoscaler hands out no GPUs"
        yield Problem(("scale", "replicas"), what, f"write {facts.document.scale.replicas.min or 1}")


def tokens_of_alerts_stay_secret(facts: Facts) -> Iterator[Problem]:
    """A token goes over plain HTTP to this machine only."""
    said = facts.document.monitoring
    for path, url, has_token in (
        (("monitoring", "webhook"), said.webhook, said.webhook_token is not None),
        (("monitoring", "retrain", "url"), said.retrain.url if said.retrain else None, True),
    ):
        if url and has_token and url.startswith("http://") and urlsplit(url).hostname not in ("127.0.0.1", "::1", "localhost"):
            yield Problem(path, f"{clipped(url)} would get its token over plain HTTP", "write https://")
    if said.webhook_token is not None and said.webhook is None:
        yield Problem(
            ("monitoring", "webhook_token"), "there is no monitoring.webhook that it is for", "write it, or delete this line"
        )


def alerts_that_start_a_pipeline_can_fire(facts: Facts) -> Iterator[Problem]:
    retrain = facts.document.monitoring.retrain
    has_limit = facts.document.slo.p99 is not None or facts.document.monitoring.alerts.p95 is not None
    if retrain is not None and "slow" in retrain.when and not has_limit:
        what = "nothing says what is slow: there is neither slo.p99 nor monitoring.alerts.p95"
        yield Problem(("monitoring", "retrain", "when"), what, "write one of them, or other alerts, such as [errors]")
    if retrain is not None and "drift" in retrain.when and not any(model.reference for _, model in models_of(facts)):
        fix = "write model.reference, or other alerts, such as [errors]"
        yield Problem(("monitoring", "retrain", "when"), "no model has a model.reference: its drift is not measured", fix)


def scrapes_have_one_scheme(facts: Facts) -> Iterator[Problem]:
    addresses = facts.document.monitoring.addresses
    if len({address.startswith("https://") for address in addresses}) > 1:
        yield Problem(("monitoring", "addresses"), "some addresses are https:// and some are not", "write all of one kind")
    for path, text in (
        *((("monitoring", "addresses", address), address) for address in addresses),
        (("monitoring", "alertmanager"), facts.document.monitoring.alertmanager),
    ):
        if int(text.rpartition(":")[2]) > 65535:
            yield Problem(path, f"{clipped(text)} has no port from 1 to 65535", "write another one")


def something_is_served(facts: Facts) -> Iterator[Problem]:
    if not facts.document.serve.protocols:
        yield Problem(("serve", "protocols"), "the list is empty", "write [native], or delete the line")
    if facts.document.build.platforms == ():
        yield Problem(("build", "platforms"), "the list is empty", "write [linux/amd64], or delete the line")


RULES: tuple[Rule, ...] = (
    one_way_to_name_models,
    paths_are_paths,
    models_are_somewhere,
    code_stays_inside,
    answers_have_one_name_each,
    hooks_are_a_module_of_the_project,
    loader_goes_with_python,
    what_int8_costs_can_be_measured,
    quality_can_be_measured,
    reserved_names_stay_free,
    secrets_have_places,
    keys_of_certificates_are_secrets,
    callers_can_be_told_apart,
    urls_are_safe,
    addresses_are_addresses,
    ranges_are_ordered,
    steps_rise_to_everyone,
    gates_can_be_judged,
    a_mirror_is_watched,
    bases_are_debian_or_images,
    lists_say_things_once,
    a_process_has_a_gpu,
    tokens_of_alerts_stay_secret,
    alerts_that_start_a_pipeline_can_fire,
    scrapes_have_one_scheme,
    something_is_served,
)
