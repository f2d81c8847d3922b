"""What an estimate prices: the deployment that a project, or the command line alone, would make at a target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mlship.config.project import Project
from mlship.config.schema import Targets
from mlship.cost.book import CLOUDS, PriceBook
from mlship.cost.candidates import ENDPOINTS, MACHINES, NODES, cloud_of, machine_of
from mlship.errors import Finding, FindingsError, MlshipError
from mlship.flows.costing.asked import Asked
from mlship.flows.costing.measured import Measured
from mlship.flows.costing.sizes import resources_from
from mlship.flows.costing.words import PSEUDO_REGIONS
from mlship.flows.costing.words import unknown as unknown
from mlship.flows.costing.workload import workload_from
from mlship.flows.used_keys import used_keys
from mlship.releases.release import Release, Served
from mlship.targets.base import Deployment
from mlship.targets.features import findings as feature_findings
from mlship.targets.priced import priced

# Where a cloud is looked at when nobody says a region: there its managed services have the most prices.
REGIONS = {"aws": "us-east-1", "gcp": "us-central1", "azure": "westus2"}
SERVICES = {
    "local": ("process",),
    "docker": ("haproxy",),
    "aws": ("ecs", "sagemaker", "lambda", "vm"),
    "gcp": ("cloud-run", "vertex", "vm"),
    "azure": ("container-apps", "azureml", "vm"),
    "kubernetes": ("deployment", "kserve"),
}

# The services of the clouds that a search looks at.
ANY_SERVICE = ("vm", "ecs", "lambda", "cloud-run", "container-apps")


def deployment_of(
    asked: Asked,
    project: Project | None,
    target: str,
    service: str = "",
    changed: Mapping[str, str] | None = None,
    image_gb: float = 0.0,
) -> tuple[Deployment, tuple[str, ...]]:
    """What would be created, and what nobody said of it, for people. changed: settings that go before those of the file. image_gb: what a
    registry would keep.

    Raises MlshipError for a target, service or region that there is not.
    """
    known = [*SERVICES]
    if target not in known:
        raise unknown("--target", "target", target, known)
    settings = _settings(project, target)
    chosen = service or asked.service or _service(project, target, settings, asked.instance)
    if chosen not in SERVICES[target]:
        raise _no_service(target, chosen)
    notes: list[str] = []
    settings |= {name: value for name, value in _options(asked).items() if value} | dict(changed or {})
    if chosen == "sagemaker" and settings.get("instance"):
        settings["instance"] = str(settings["instance"]).removeprefix("ml.")
    settings["arch"] = asked.arch or (changed or {}).get("arch") or _arch(project)
    if image_gb:
        settings["image_gb"] = image_gb
    cloud = str(settings.get("cloud") or "") if target == "kubernetes" else target
    if cloud in REGIONS and not settings.get("region"):
        settings["region"] = REGIONS[cloud]
        notes.append(f"region {REGIONS[cloud]}: nothing says another")
    served = Served("", (), resources=_as_clouds_count(target, resources_from(asked, project)))
    deployment = Deployment(
        project=project.name if project is not None else "unsaid",
        environment=project.environment if project is not None else "",
        target=target,
        service=chosen,
        release=Release(0, served, 0.0),
        settings=settings,
        operating={
            "cost": {"profile": project.cost.profile if project is not None else "on-demand"},
            **({"public": True} if project is not None and project.public else {}),
        },
        replicas=_range(asked, project, chosen),
        places=_places(asked, project),
    )
    return deployment, tuple(notes)


def _service(project: Project | None, target: str, settings: Mapping[str, Any], instance: str) -> str:
    """The file's, or the target's own; a machine where one is named and nobody says what for."""
    is_said = project is not None and f"targets.{target}.service" in project.positions
    if "vm" in SERVICES[target] and not is_said and (instance or settings.get("instance")):
        return "vm"
    return str(settings.get("service") or SERVICES[target][0])


def _places(asked: Asked, project: Project | None) -> dict[str, str]:
    """Where a key stands, on the command line too, where targets look at it."""
    said = {"scale.replicas": "--replicas"} if asked.replicas else {}
    return {**({key: project.at(key) for key in project.positions} if project is not None else {}), **said}


def _as_clouds_count(target: str, resources: Mapping[str, int]) -> Mapping[str, int]:
    """Their GB and MB have powers of two: `2GB` of a function is what others call 2 GiB."""
    memory = resources["memory"]
    if target not in REGIONS or not memory % 2**20:
        return resources
    if memory >= 10**9 and not memory % 10**8:
        return {**resources, "memory": memory * 2**30 // 10**9}
    return {**resources, "memory": memory * 2**20 // 10**6} if not memory % 10**6 else resources


def _settings(project: Project | None, target: str) -> dict[str, Any]:
    """The target's section, defaults filled in."""
    import msgspec

    section = getattr(project.targets if project is not None else Targets(), target, None)
    plain: dict[str, Any] = msgspec.to_builtins(msgspec.structs.asdict(section)) if section is not None else {}
    return plain


def _options(asked: Asked) -> dict[str, str]:
    return {"region": asked.region, "instance": asked.instance, "billing": asked.billing, "cloud": asked.cloud}


def _arch(project: Project | None) -> str:
    platforms = (project.build.platforms or ()) if project is not None else ()
    return "arm64" if platforms == ("linux/arm64",) else "x86_64"


def _range(asked: Asked, project: Project | None, service: str) -> tuple[int, int]:
    """A most alone says nothing of copies that a function keeps ready."""
    workload = workload_from(replace(asked, rps=None, requests_month=None, profile=None, peak=None), None, Measured())
    least, most = workload.replicas
    if project is None and not asked.replicas and most is not None and service == "lambda":
        return 0, most
    if asked.replicas or project is None:
        return least, least if most is None else most
    return project.scale.replicas.min, project.scale.replicas.max


def checked(deployment: Deployment, project: Project | None, book: PriceBook) -> tuple[Finding, ...]:
    """What the service cannot do of what is asked. Raises FindingsError where that makes the estimate one of nothing."""
    described = priced(deployment.target)
    _check_place(deployment, book)
    used = used_keys(project) if project is not None else {}
    priced_keys = {key: where for key, where in used.items() if key.split(".")[0] in ("resources", "scale")}
    features = described.FEATURES[deployment.service]
    found = (*feature_findings(priced_keys, deployment.service, features), *described.findings(deployment))
    if any(finding.severity == "error" for finding in found):
        raise FindingsError(f"{deployment.target} {deployment.service} cannot serve this", found)
    return found


def _check_place(deployment: Deployment, book: PriceBook) -> None:
    """Raises MlshipError for a region or a type of machine that there is not, with the near ones."""
    cloud, settings = cloud_of(deployment), deployment.settings
    if cloud not in CLOUDS:
        if deployment.target == "kubernetes":
            fix = "say --cloud aws --region us-east-1 --instance m7g.large, or targets.kubernetes.cloud"
            raise MlshipError("whose machines the nodes are is not said", "targets.kubernetes.cloud", fix, code="usage")
        return
    region = str(settings["region"])
    regions = {*book.regions(cloud), *(price.region for price in book.services if price.cloud == cloud)}
    if region not in regions or region in PSEUDO_REGIONS:
        raise unknown("--region", f"region of {cloud}", region, sorted(regions))
    instance = str(settings.get("instance") or "")
    if deployment.service not in (*MACHINES, *ENDPOINTS, *NODES):
        if instance:
            fix = "leave it out, or use --service vm"
            raise MlshipError(f"{cloud} {deployment.service} has no types of machines", "--instance", fix, code="usage")
        return
    if not instance:
        fix = "say --instance TYPE; or --optimise finds the cheapest"
        raise MlshipError(f"{cloud} {deployment.service} needs a type of machine", "--instance", fix, code="usage")
    if machine_of(deployment, book) is None:
        names = sorted({offer.machine.name for offer in book.every_offer() if offer.machine.cloud == cloud})
        raise unknown("--instance", f"type of machine of {cloud}", instance, names)


def _no_service(target: str, said: str) -> MlshipError:
    """Most often the target was left out."""
    error = unknown("--service", f"service of {target}", said, list(SERVICES[target]))
    of = next((name for name, services in SERVICES.items() if said in services), "")
    return MlshipError(error.what, error.where, f"add --target {of}", code=error.code) if of else error
