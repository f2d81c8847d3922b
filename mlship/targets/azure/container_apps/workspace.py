"""What copies printed that do not run any more, as Log Analytics keeps it.

Table ContainerAppConsoleLogs_CL (learn.microsoft.com/azure/container-apps, "Monitor logs in Azure Container Apps with Log
Analytics"); POST /v1/workspaces/ID/query (learn.microsoft.com/rest/api/loganalytics). From memory, verify at a real workspace.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlship.errors import MlshipError
from mlship.targets.azure.container_apps.foundation import APIS, ENVIRONMENT
from mlship.targets.azure.container_apps.seen import Seen
from mlship.targets.azure.door import Door
from mlship.targets.azure.scope import name_of
from mlship.targets.base import LogLine

_COLUMNS = ("TimeGenerated", "RevisionName_s", "ContainerGroupName_s", "Log_s")


def lines_of(door: Door, seen: Seen | None, release: str, lines: int) -> list[LogLine]:
    """By time; nothing where there is no workspace, where it may not be read, or where nothing has arrived yet."""
    if seen is None or lines < 1 or not f"r{release}".replace("-", "").isalnum():
        return []
    try:
        customer = _customer(door, seen)
        return _asked(door, customer, query(name_of(seen.path), release, lines)) if customer else []
    except MlshipError as error:
        if error.code != "denied":
            raise
        return []


def query(app: str, release: str, lines: int) -> str:
    """app and release are of letters, digits and dashes: nothing in them can end the text that they stand in."""
    of = f" | where RevisionName_s startswith '{app}--{release}'" if release else ""
    newest = f" | top {lines} by TimeGenerated desc | project {', '.join(_COLUMNS)}"
    return f"ContainerAppConsoleLogs_CL | where ContainerAppName_s == '{app}'{of}{newest}"


def _customer(door: Door, seen: Seen) -> str:
    """The workspace of the environment that the app runs in, by the id that queries know it by."""
    said: Mapping[str, Any] = seen.app.get("properties") or {}
    path = str(said.get("environmentId") or said.get("managedEnvironmentId") or "")
    found = door.find(path, APIS[ENVIRONMENT]) if path else None
    logs = ((found or {}).get("properties") or {}).get("appLogsConfiguration") or {}
    return str((logs.get("logAnalyticsConfiguration") or {}).get("customerId") or "")


def _asked(door: Door, customer: str, asked: str) -> list[LogLine]:
    """A table that nothing was written to yet is one that Log Analytics does not know: 400."""
    host = door.cloud.logs
    headers = {"Content-Type": "application/json"}
    body = json.dumps({"query": asked}).encode()
    told = door.send(
        "POST", f"https://{host}/v1/workspaces/{customer}/query", headers=headers, body=body, scope=f"https://{host}/.default"
    )
    if told.status != 200:
        return []
    found = []
    for table in told.json.get("tables") or ():
        places = {column["name"]: number for number, column in enumerate(table["columns"])}
        for row in table["rows"]:
            when, revision, copy, text = (str(row[places[name]] or "") for name in _COLUMNS)
            release = "-".join(revision.partition("--")[2].split("-")[:2])
            found.append(LogLine(copy, release, text, when))
    return sorted(found, key=lambda line: line.when)
