"""Other words for what an estimate is asked, in our own; what of it changes nothing; what an unknown word may have meant. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from mlship.config.words import clipped, nearest
from mlship.cost.candidates import ENDPOINTS, MACHINES, NODES
from mlship.cost.figures import milliseconds
from mlship.errors import Finding, MlshipError

if TYPE_CHECKING:
    from mlship.cost.candidate import Purchase
    from mlship.cost.workload import Workload
    from mlship.flows.costing.asked import Asked

PSEUDO_REGIONS = ("all", "global", "tier1", "tier2")  # the book's, of prices that are the same in many places
LAMBDA_LONGEST_S = 900  # docs.aws.amazon.com/lambda, "Lambda quotas": a function's timeout
_SHOWN = 12  # known words before the list is cut off

_SERVICES: Mapping[str, str] = {
    **dict.fromkeys(("ec2", "gce", "azure-vm", "virtual-machine"), "vm"),
    **dict.fromkeys(("fargate", "ecs-fargate"), "ecs"),
    **dict.fromkeys(("cloudrun", "cloud_run"), "cloud-run"),
    **dict.fromkeys(("containerapps", "container_apps", "aca"), "container-apps"),
    **dict.fromkeys(("vertex-ai", "vertexai"), "vertex"),
    "sagemaker-realtime": "sagemaker",
    "azure-ml": "azureml",
}
_CLUSTERS: Mapping[str, str] = {"eks": "aws", "gke": "gcp", "aks": "azure"}
_PURCHASES: Mapping[str, str] = {
    "spot": "on-demand+spot",
    **dict.fromkeys(("serverless", "request", "pay-per-use"), "per-request"),
    **dict.fromkeys(("committed", "reserved-1y", "reserved-3y"), "reserved"),
    **dict.fromkeys(("od", "ondemand"), "on-demand"),
}
_ARCHS: Mapping[str, str] = {
    **dict.fromkeys(("x86_64", "x86", "amd64"), "x86_64"),
    **dict.fromkeys(("arm64", "arm", "aarch64"), "arm64"),
}


def in_our_words(asked: Asked) -> Asked:
    """The same question in the words of mlship.yaml. Raises MlshipError for what there is no word for."""
    purchase, term = _purchase(asked.purchase, asked.term)
    is_all_spot = asked.purchase.lower() == "spot" and asked.base is None
    return replace(
        asked,
        target=asked.target.lower(),
        cloud=asked.cloud.lower(),
        service=_service(asked.service),
        region=_region(asked.region),
        instance=_instance(asked.instance, "azure" in (asked.target.lower(), asked.cloud.lower())),
        arch=_arch(asked.arch),
        replicas=re.sub(r"^\s*(\d+)\s*-\s*(\d+)\s*$", r"\1..\2", asked.replicas),
        service_time=_time("--service-time", asked.service_time),
        slo_p99=_time("--slo", asked.slo_p99.removeprefix("p99=")),
        purchase=purchase,
        term=term,
        base=0 if is_all_spot else asked.base,
        memory=_memory(asked.memory),
        billing=_billing(asked.billing),
    )


def _service(said: str) -> str:
    name = said.strip().lower()
    if name in _CLUSTERS:
        fix = f"use --target kubernetes --cloud {_CLUSTERS[name]}"
        raise _refused("--service", f"{name} is a cluster, and its nodes are priced", fix)
    if name == "sagemaker-serverless":
        raise _refused("--service", f"{name} is not priced", "lambda is the service that bills by the request")
    return _SERVICES.get(name, name)


def _region(said: str) -> str:
    """`East US` is eastus."""
    name = re.sub(r"\s", "", said).lower()
    if name in PSEUDO_REGIONS:
        raise _refused("--region", f"{name} is no region that anything runs in", "name one, such as us-east-1")
    return name


_AZURE = re.compile(
    r"(?:standard_)?([a-z]+)(\d+(?:-\d+)?)([a-z]*)((?:_[a-z]+\d+[a-z]*)??)((?:_v\d+)?)", re.IGNORECASE | re.ASCII
)
_IS_AZURE = re.compile(r"standard_.*|[^.]+_v\d+", re.IGNORECASE | re.ASCII)


def _instance(said: str, is_azure: bool) -> str:
    """Azure writes Standard_NC4as_T4_v3, and the others small letters."""
    name = re.sub(r"-(v\d+)$", r"_\1", said.strip(), flags=re.IGNORECASE) if is_azure else said.strip()
    parts = _AZURE.fullmatch(name) if is_azure or _IS_AZURE.fullmatch(name) else None
    if parts is None:
        return name if name.lower().startswith("standard_") else name.lower()
    family, vcpus, features, accelerator, version = parts.groups()
    return f"Standard_{family.upper()}{vcpus}{features.lower()}{accelerator.upper()}{version.lower()}"


def _arch(said: str) -> str:
    if said and said.lower() not in _ARCHS:
        raise _refused("--arch", f"{clipped(said)} is no architecture that is priced", "write x86_64 or arm64")
    return _ARCHS[said.lower()] if said else ""


def _purchase(said: str, term: str) -> tuple[str, str]:
    """With the term that it says."""
    name = said.lower()
    if name.startswith("savings"):
        raise _refused("--purchase", "savings plans are not priced", "write reserved: the book knows reserved prices only")
    own = name[-2:] if name in ("reserved-1y", "reserved-3y") else ""
    if own and term not in ("", own):
        raise _refused("--term", f"{term} contradicts --purchase {name}", "keep one of them")
    return _PURCHASES.get(name, name), own or term


def _billing(said: str) -> str:
    name = said.lower()
    if name not in ("", "request", "instance"):
        raise _refused("--billing", f"{clipped(said)} is no way to bill", "write request or instance")
    return name


_MEMORY = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt])(i?)b?\s*", re.IGNORECASE | re.ASCII)


def _memory(said: str) -> str:
    """`2Gi`, `2G`, `2gb` with the unit that mlship.yaml has."""
    parts = _MEMORY.fullmatch(said)
    return f"{parts[1]}{parts[2].upper()}{parts[3].lower()}B" if parts else said


def _time(option: str, said: str) -> str:
    """A number alone is refused: seconds and milliseconds are as likely."""
    if not re.fullmatch(r"\s*\d*\.?\d+\s*", said, re.ASCII):
        return said
    number = float(said) or 0.02
    near = f"{number * 1000:g}ms" if number < 1 else f"{number:g}ms"
    raise _refused(option, f"{clipped(said.strip())} has no unit", f"write {near}, or {number:g}s")


# -- numbers --------------------------------------------------------------------------------------------------------------


_COUNT = re.compile(r"(\d{1,3}(?:,\d{3})+|\d[\d_]*)(\.\d+)?(e\+?\d{1,3})?\s*([kmgb]?)", re.IGNORECASE | re.ASCII)
_TIMES: Mapping[str, float] = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9}


def count_of(option: str, said: str) -> float | None:
    """`50k`, `1.5M`, `1,000,000`, `1e6`; None for ``. Raises MlshipError."""
    if not said:
        return None
    parts = _COUNT.fullmatch(said.strip())
    if parts is None:
        raise _refused(option, f"{clipped(said)} is no count", "write 50000, 50k or 1.5M")
    whole, fraction, power, unit = parts.groups("")
    return float(f"{whole.replace(',', '').replace('_', '')}{fraction}{power}") * _TIMES[unit.lower()]


def share_of(option: str, said: str) -> float | None:
    """`0.25` and `25%`; None for ``. Raises MlshipError for no number: what it may be is checked where it is used."""
    if not said:
        return None
    bare = said.strip()
    try:
        return float(bare.removesuffix("%")) / (100 if bare.endswith("%") else 1)
    except ValueError:
        raise _refused(option, f"{clipped(said)} is no share", "write 0.25, or 25%") from None


def percent_of(option: str, said: str) -> float | None:
    """`25` and `25%` as 0.25; None for ``. Raises MlshipError."""
    return share_of(option, f"{said.strip().removesuffix('%')}%") if said else None


# -- what changes nothing -------------------------------------------------------------------------------------------------


def ignored(
    asked: Asked, service: str, purchase: Purchase, arch: str = "", workload: Workload | None = None
) -> tuple[Finding, ...]:
    """Notes on what is said and means nothing to the service, or to how it is bought.

    arch: of the candidate; `` is not known. workload: None is not known. Raises MlshipError for what the service cannot be told:
    requests at a time of a function, a request that it ends, a processor that the machine does not have.
    """
    _check_possible(asked, service, arch, workload)
    told = (
        *_ignored_purchase(asked, purchase),
        *_ignored_service(asked, service),
        *_ignored_search(asked, service),
        *_ignored_traffic(asked),
        *_ignored_capacity(asked, service, workload),
    )
    return tuple(Finding(f"means nothing {why}", option, "leave it out", "note", code="ignored") for option, why in told)


def _check_possible(asked: Asked, service: str, arch: str, workload: Workload | None) -> None:
    if asked.arch and arch and asked.arch != arch:
        what = f"{asked.instance or service} is {arch}, and not {asked.arch}"
        raise _refused("--arch", what, "leave --arch out, or name another --instance")
    if service != "lambda":
        return
    if asked.concurrency is not None and asked.concurrency > 1:
        raise _refused("--concurrency", "a function takes one request at a time", "leave it out, or use --service ecs")
    time = workload.service_time if workload is not None else None
    if workload is not None and time is not None:
        for what in ended_early(service, workload):
            raise MlshipError(what, time.source, "use --service ecs, or --service vm", code="usage")


def ended_early(service: str, workload: Workload) -> Iterator[str]:
    """Where requests take longer than the service lets them."""
    time = workload.service_time
    if service == "lambda" and time is not None and time.mean_s > LAMBDA_LONGEST_S:
        yield f"a request takes {milliseconds(time.mean_s * 1000)}, and Lambda ends it after {LAMBDA_LONGEST_S // 60} min"


def _ignored_purchase(asked: Asked, purchase: Purchase) -> Iterator[tuple[str, str]]:
    name, to = purchase.name, f"to {purchase.name}"
    if asked.base is not None and "+" not in name:
        yield "--base", to
    if asked.term and not name.startswith("reserved"):
        yield "--term", to
    if asked.on_demand_share is not None and name != "on-demand+spot":
        yield "--on-demand-share", to


def _ignored_service(asked: Asked, service: str) -> Iterator[tuple[str, str]]:
    if asked.billing and service != "cloud-run":
        yield "--billing", f"to {service}: cloud-run has it"
    if asked.concurrency is not None and service not in ("cloud-run", "container-apps", "lambda"):
        yield "--concurrency", f"to {service}: cloud-run and container-apps have it"
    if asked.cpu and service in (*MACHINES, *ENDPOINTS):
        yield "--cpu", f"to {service}: a replica is a whole machine"
    if asked.cpu and service == "lambda":
        yield "--cpu", "to lambda: a function's cores come with its memory"


def _ignored_search(asked: Asked, service: str) -> Iterator[tuple[str, str]]:
    """Options of --optimise without it; those of a cluster at what is none."""
    if asked.cloud not in ("", asked.target) and service not in NODES and not asked.optimise and not asked.compare:
        yield "--cloud", f"to {service}: --target names its cloud"
    if asked.optimise:
        return
    if asked.max_replicas is not None and asked.replicas:
        yield "--max-replicas", "beside --replicas"
    said = {
        "--burstable": asked.burstable,
        "--deployable": asked.deployable,
        "--limit": asked.limit != 10,
        "--max-spot-age": asked.max_spot_age is not None,
    }
    yield from ((option, "without --optimise") for option, is_said in said.items() if is_said)


def _ignored_traffic(asked: Asked) -> Iterator[tuple[str, str]]:
    if asked.peak is not None and asked.rps is None:
        yield "--peak", "without --rps"
    if asked.weekend is not None and asked.rps is None:
        yield "--weekend", "without --rps"
    if asked.peak_hour is not None and (asked.rps is None or asked.peak is None):
        yield "--peak-hour", "without --rps and --peak"


def _ignored_capacity(asked: Asked, service: str, workload: Workload | None) -> Iterator[tuple[str, str]]:
    """What replicas are counted by, where nothing counts them."""
    if workload is not None and workload.service_time is None:
        said = {"--slo": asked.slo_p99, "--speed": asked.speed, "--headroom": asked.headroom is not None}
        yield from ((option, "where no service time is known") for option, is_said in said.items() if is_said)
    elif asked.headroom is not None and service == "lambda":
        yield "--headroom", "to lambda: no request waits for a replica"
    elif asked.headroom is not None and asked.replicas.isdecimal():
        yield "--headroom", f"to {asked.replicas} replicas that are said"


# -- words that nobody knows ----------------------------------------------------------------------------------------------


def unknown(option: str, what: str, said: str, known: Iterable[str]) -> MlshipError:
    """Of a word that is none of those known, with the one that was probably meant."""
    names = [name for name in known if name not in PSEUDO_REGIONS]
    near = near_word(said, names)
    shown = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    return _refused(option, f"there is no {what} {clipped(said)}", f"did you mean {near}?" if near else f"known: {shown}")


def near_word(said: str, known: Iterable[str]) -> str:
    """The same word in another case before any other."""
    names = {name.lower(): name for name in known}
    return names.get(said.lower()) or names.get(nearest(said.lower(), names), "")


def _refused(option: str, what: str, fix: str) -> MlshipError:
    return MlshipError(what, option, fix, code="usage")
