"""What must hold between keys, or cannot be said by a type: one small function a rule, collected in RULES."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from urllib.parse import urlsplit

from mlship.config.addresses import without_user
from mlship.config.balancer_rules import BALANCER_RULES
from mlship.config.facts import Facts, Problem, Rule, models_of
from mlship.config.gates import parse
from mlship.config.model_rules import MODEL_RULES
from mlship.config.secret_rules import SECRET_RULES
from mlship.config.words import clipped


def problems(facts: Facts) -> Iterator[Problem]:
    for rule in RULES:
        yield from rule(facts)


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
        return f"{clipped(without_user(text))} is not a URL that starts with {schemes[0]}://"
    if url.password is not None or (url.username is not None and not with_user):
        return "the URL has credentials in it"
    if url.query or url.fragment or re.search(r"[\s'\"\\`$;|&<>]", text):
        return f"{clipped(text)} has characters that do not belong into such a URL"
    if (url.username or "").startswith("-") or (url.hostname or "").startswith("-"):
        return f"{clipped(text)} has a name that starts with a dash"
    return ""


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


def nobody_waits_while_nothing_serves(facts: Facts) -> Iterator[Problem]:
    """A pause comes after the new copies proved themselves; for recreate the old ones have ended by then."""
    rollout = facts.document.rollout
    if rollout.strategy != "recreate":
        return
    what = "strategy recreate has stopped what served by then: callers would get 503 for as long as it waits"
    if rollout.approve == "manual":
        yield Problem(("rollout", "approve"), what, "write strategy: blue-green, or delete approve")
    if rollout.on_fail == "pause":
        yield Problem(("rollout", "on_fail"), what, "write strategy: blue-green, or delete on_fail")


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
    *MODEL_RULES,
    reserved_names_stay_free,
    *SECRET_RULES,
    urls_are_safe,
    addresses_are_addresses,
    ranges_are_ordered,
    steps_rise_to_everyone,
    gates_can_be_judged,
    a_mirror_is_watched,
    nobody_waits_while_nothing_serves,
    bases_are_debian_or_images,
    lists_say_things_once,
    a_process_has_a_gpu,
    tokens_of_alerts_stay_secret,
    alerts_that_start_a_pipeline_can_fire,
    scrapes_have_one_scheme,
    something_is_served,
    *BALANCER_RULES,
)
