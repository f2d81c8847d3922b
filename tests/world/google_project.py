"""What a project is: its APIs that are switched on, what the caller may do in it, and its quotas."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google_contract import Method
from google_identity import PROJECT
from google_world import No
from inspecting_proxy import Asked

NUMBER = "123456789012"


class Services:
    """Implements google_world.Player for serviceusage. disabled: APIs that are not switched on.

    quotas: metric -> (limit, by region) as `limits` of `consumerQuotaMetrics` of the beta version tell them.
    """

    def __init__(self, *disabled: str) -> None:
        self.disabled = set(disabled)
        self.quotas: dict[str, dict[str, int]] = {}

    def __call__(self, method: Method, asked: Asked) -> Any:
        return getattr(self, "_" + method.name.replace(".", "_"))(method.params, asked)

    def _services_batchGet(self, params: Mapping[str, str], asked: Asked) -> Any:
        names = [
            text
            for part in asked.target.partition("?")[2].split("&")
            for key, _, text in [part.partition("=")]
            if key == "names"
        ]
        return {"services": [self._service(name.replace("%2F", "/")) for name in names]}

    def _services_get(self, params: Mapping[str, str], asked: Asked) -> Any:
        return self._service(params["name"])

    def _services_list(self, params: Mapping[str, str], asked: Asked) -> Any:
        raise No("PERMISSION_DENIED", "ask for the services that you mean: there are thousands")

    def _consumerQuotaMetrics_list(self, params: Mapping[str, str], asked: Asked) -> Any:
        return {"metrics": [self._metric(params["parent"], name) for name in sorted(self.quotas)]}

    def _consumerQuotaMetrics_get(self, params: Mapping[str, str], asked: Asked) -> Any:
        parent, _, name = params["name"].partition("/consumerQuotaMetrics/")
        return self._metric(parent, name.replace("%2F", "/"))

    def _metric(self, parent: str, name: str) -> dict[str, Any]:
        if name not in self.quotas:
            raise No("NOT_FOUND", f"there is no quota metric {name}")
        buckets = [
            {"effectiveLimit": str(limit), "defaultLimit": str(limit), **({"dimensions": {"region": region}} if region else {})}
            for region, limit in self.quotas[name].items()
        ]
        unit = "1/{project}/{region}"
        limit = {
            "name": f"{parent}/consumerQuotaMetrics/{name}/limits/x",
            "metric": name,
            "unit": unit,
            "quotaBuckets": buckets,
        }
        return {"name": f"{parent}/consumerQuotaMetrics/{name}", "metric": name, "consumerQuotaLimits": [limit]}

    def _service(self, name: str) -> dict[str, Any]:
        api = name.rpartition("/")[2]
        state = "DISABLED" if api in self.disabled else "ENABLED"
        return {"name": f"projects/{NUMBER}/services/{api}", "parent": f"projects/{NUMBER}", "state": state}


class Accounts:
    """Implements google_world.Player for iam. known: service accounts that are there; others: whom the caller may not act as."""

    def __init__(self, *known: str) -> None:
        self.known, self.others = set(known), set[str]()

    def __call__(self, method: Method, asked: Asked) -> Any:
        name = method.params["resource"].rpartition("/")[2]
        if name not in self.known:
            raise No("NOT_FOUND", "Unknown service account")
        return {} if name in self.others else {"permissions": asked.json["permissions"]}


class Projects:
    """Implements google_world.Player for cloudresourcemanager. denied: permissions that the caller does not have."""

    def __init__(self, *denied: str) -> None:
        self.denied = set(denied)

    def __call__(self, method: Method, asked: Asked) -> Any:
        if method.name == "projects.testIamPermissions":
            return {"permissions": [one for one in asked.json["permissions"] if one not in self.denied]}
        if method.name == "projects.get":
            return {"name": f"projects/{NUMBER}", "projectId": PROJECT, "state": "ACTIVE"}
        raise No("PERMISSION_DENIED", method.id)
