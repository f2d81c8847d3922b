"""The clouds of Azure: the public one, China's and the US government's. Pure.

Resource manager, audiences: azure-mgmt-core 1.6.0, tools.get_arm_endpoints; authorities: azure-identity 1.27.0, AzureAuthorityHosts.
Suffixes: "National clouds" (learn.microsoft.com/azure, endpoint mapping), from memory, not looked up again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from mlship.errors import MlshipError


@dataclass(frozen=True)
class Cloud:
    """authority: the host that logs people in. arm: without a slash at its end. Others: what the hosts of a service end in."""

    name: str
    authority: str
    arm: str
    audience: str
    storage: str
    registry: str
    vault: str
    logs: str

    @property
    def scope(self) -> str:
        """What a token for the resource manager is asked with."""
        return f"{self.audience}/.default"


PUBLIC = Cloud(
    "public",
    "login.microsoftonline.com",
    "https://management.azure.com",
    "https://management.azure.com",
    "blob.core.windows.net",
    "azurecr.io",
    "vault.azure.net",
    "api.loganalytics.io",
)
CHINA = Cloud(
    "china",
    "login.chinacloudapi.cn",
    "https://management.chinacloudapi.cn",
    "https://management.chinacloudapi.cn",
    "blob.core.chinacloudapi.cn",
    "azurecr.cn",
    "vault.azure.cn",
    "api.loganalytics.azure.cn",
)
US_GOVERNMENT = Cloud(
    "usgov",
    "login.microsoftonline.us",
    "https://management.usgovcloudapi.net",
    "https://management.core.usgovcloudapi.net",
    "blob.core.usgovcloudapi.net",
    "azurecr.us",
    "vault.usgovcloudapi.net",
    "api.loganalytics.us",
)
CLOUDS = {cloud.name: cloud for cloud in (PUBLIC, CHINA, US_GOVERNMENT)}


def cloud_of(said: str, environ: Mapping[str, str]) -> Cloud:
    """said: `targets.azure.cloud`; else the one whose authority AZURE_AUTHORITY_HOST names.

    Raises MlshipError for an authority of no known cloud, whose resource manager nobody could guess.
    """
    if said:
        return CLOUDS[said]
    host = environ.get("AZURE_AUTHORITY_HOST", "")
    if not host:
        return PUBLIC
    name = urlsplit(host if "//" in host else f"https://{host}").hostname
    for cloud in CLOUDS.values():
        if cloud.authority == name:
            return cloud
    known = ", ".join(cloud.authority for cloud in CLOUDS.values())
    raise MlshipError(
        f"AZURE_AUTHORITY_HOST is {host}, which is no cloud that mlship knows",
        fix=f"set it to one of {known}",
        code="bad-cloud",
    )
