"""The units of what plans are billed for, also where the book has no price of it in any region. Pure."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping

# As targets/*/resources.py bill it: by cloud and service, what the whole item looks like. A group is a type of machine.
_UNITS: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("aws", "fargate"): {
        r"(?:spot_)?vcpu_(?:x86|arm64)": "vCPU-hour",
        r"(?:spot_)?memory_(?:x86|arm64)": "GB-hour",
        r"ephemeral_storage_above_20gb": "GB-hour",
    },
    ("aws", "lambda"): {r"duration_(?:x86|arm64)": "GB-second", r"requests": "request"},
    ("aws", "sagemaker_realtime"): {r"ml\.(.+)": "instance-hour"},
    ("gcp", "cloud_run"): {
        r"vcpu_(?:instance_based|request_based(?:_idle)?)": "vCPU-second",
        r"memory_(?:instance_based|request_based(?:_idle)?)": "GiB-second",
        r"gpu_l4": "GPU-second",
        r"requests": "million requests",
    },
    ("gcp", "vertex_ai"): {r"online_prediction(?:_spot)? (.+)": "node-hour"},
    ("gcp", "cloud_logging"): {r"ingestion": "GB"},
    ("azure", "container_apps"): {
        r"vcpu_(?:active|idle)": "vCPU-second",
        r"memory_(?:active|idle)": "GiB-second",
        r"requests": "million requests",
    },
    ("azure", "log_analytics"): {r"ingestion": "GB"},
}


def billed_services(cloud: str) -> tuple[str, ...]:
    """Those that plans are billed for and the book may know nothing of."""
    return tuple(service for of, service in _UNITS if of == cloud)


def billed_unit(cloud: str, service: str, item: str, types: Container[str]) -> str:
    """`vCPU-hour` of fargate's spot_vcpu_arm64; `` for an item that no plan has. types: the cloud's types of machines."""
    for form, unit in _UNITS.get((cloud, service), {}).items():
        said = re.fullmatch(form, item, re.ASCII)
        if said and all(name in types for name in said.groups()):
            return unit
    return ""
