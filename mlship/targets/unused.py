"""Keys of a cloud's section that another of its services knows, and that the chosen one has no use for. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mlship.errors import Finding, Severity

# (target, service) -> key of `targets.TARGET` -> the services that know it. What a service refuses in words of its own is not here.
_OF_OTHERS: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("aws", "ecs"): {"instance": "sagemaker and vm"},
    ("aws", "sagemaker"): dict.fromkeys(("balancer", "namespace"), "ecs"),
    ("aws", "lambda"): {"instance": "sagemaker and vm", **dict.fromkeys(("balancer", "namespace"), "ecs")},
    ("gcp", "cloud-run"): {"instance": "vertex and vm", "reservation": "vertex"},
    ("gcp", "vertex"): {"billing": "cloud-run"},
    ("azure", "container-apps"): {"workspace": "azureml", "instance": "azureml and vm", "auth": "azureml"},
    ("azure", "azureml"): dict.fromkeys(("environment", "logs", "subnet", "entra"), "container-apps"),
}
# Whoever wrote one of these wants fewer callers than the service lets in.
_GUARDS = frozenset({("azure", "azureml", key) for key in ("subnet", "entra")})


def unused_keys(places: Mapping[str, str], target: str, service: str) -> Iterator[Finding]:
    """A warning for each; an error where leaving it out would let in callers whom the file keeps out. places: of every key that is set."""
    for key, knows in _OF_OTHERS.get((target, service), {}).items():
        dotted = f"targets.{target}.{key}"
        place = next((where for said, where in places.items() if said == dotted or said.startswith(f"{dotted}.")), None)
        if place is None:
            continue
        severity: Severity = "error" if (target, service, key) in _GUARDS else "warning"
        what = f"{dotted} has no effect: it is of {knows}, and the service is {service}"
        yield Finding(what, place, f"leave it out, or use service {knows.partition(' ')[0]}", severity, "no-effect")
