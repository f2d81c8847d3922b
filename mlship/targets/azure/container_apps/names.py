"""The names of apps in a network of one's own: no public DNS has them, and who has that network makes them known there."""

from __future__ import annotations

import socket
import urllib.request
from collections.abc import Mapping
from typing import Any

from mlship.targets.azure.scope import Place, flags_of, name_of


def commands(environment: str, subnet: str, domain: str = "", address: str = "") -> tuple[str, ...]:
    """For a shell, in their order. environment, subnet: paths. domain, address: of the environment, once it is there.

    A private DNS zone of the environment's domain in that network, with a record `*` that leads to its static address ("Networking in
    Azure Container Apps environment", learn.microsoft.com/azure/container-apps, read 2026-11).
    """
    parts = environment.split("/")
    place, name = Place(parts[2], parts[4]).flags, name_of(environment)
    network = subnet.partition("/subnets/")[0]
    asked = f"az containerapp env show {flags_of(environment)} -o tsv --query properties"
    link = f"-n {name} --virtual-network {network} --registration-enabled false"
    first = () if domain else (f"DOMAIN=$({asked}.defaultDomain)", f"ADDRESS=$({asked}.staticIp)")
    zone, leads = (domain, address) if domain else ('"$DOMAIN"', '"$ADDRESS"')
    return (
        *first,
        f"az network private-dns zone create -n {zone} {place}",
        f"az network private-dns link vnet create --zone-name {zone} {link} {place}",
        f"az network private-dns record-set a add-record --zone-name {zone} -n '*' --ipv4-address {leads} {place}",
    )


def subnet_of(environment: Mapping[str, Any]) -> str:
    """properties of an environment that is given: the path of its subnet."""
    return str((environment.get("vnetConfiguration") or {}).get("infrastructureSubnetId") or "NETWORK")


def is_known(host: str) -> bool:
    """False only where the resolver says that there is no such name. Where a proxy is asked, names are its own matter."""
    if "https" in urllib.request.getproxies() and not urllib.request.proxy_bypass(host):
        return True
    try:
        socket.getaddrinfo(host, 443)
    except socket.gaierror as error:
        return error.errno not in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))
    return True
