"""HTTP to the balancer, the way that callers go: through the proxies that the environment names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlship.errors import need
from mlship.targets.aws.door import Door
from mlship.targets.base import Answer, Request

_USUAL = {"HTTP": 80, "HTTPS": 443}
_INTERNAL = "://internal-"  # how AWS calls balancers that have addresses of their own network alone


def endpoint(door: Door, listener: str, host: str = "") -> str:
    """`http://internal-mlship-churn.us-east-1.elb.amazonaws.com`. host: the name by which callers come, empty for the balancer's."""
    (told,) = door.call("elbv2", "describe_listeners", ListenerArns=[listener])["Listeners"]
    if not host:
        (balancer,) = door.call("elbv2", "describe_load_balancers", LoadBalancerArns=[told["LoadBalancerArn"]])["LoadBalancers"]
        host = balancer["DNSName"]
    protocol, port = told["Protocol"], told["Port"]
    return f"{protocol.lower()}://{host}" + ("" if _USUAL.get(protocol) == port else f":{port}")


def ask(
    address: str, request: Request, headers: Mapping[str, str], name: str = "", authorities: str = "", connect_s: float = 0.0
) -> Answer:
    """One request. name: which the certificate is for, where the address has another. authorities: file of those that are trusted beside
    the usual ones. connect_s: what a connection may take, where that is less than the whole. Status 0, with the reason in words, where
    nothing answers.
    """
    httpx = need("httpx")
    sent = {**request.headers, **headers}
    if request.method == "POST":
        sent["Content-Type"] = request.content_type
    server = {"sni_hostname": name} if name else {}
    waits = httpx.Timeout(request.timeout_s, connect=min(connect_s or request.timeout_s, request.timeout_s))
    try:
        with httpx.Client(timeout=waits, verify=_known(httpx, authorities)) as client:
            content = request.body or None
            got = client.request(request.method, address + request.path, content=content, headers=sent, extensions=server)
    except httpx.ConnectTimeout:
        return unreached(address, f"no connection within {waits.connect:g} s")
    except httpx.ConnectError as error:
        return unreached(address, " ".join(str(error).split()).lower()[:300] or "no connection")
    except httpx.TimeoutException:
        return Answer(0, f"no answer within {request.timeout_s:g} s".encode())
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        return Answer(0, (" ".join(str(error).split()) or type(error).__name__).lower()[:300].encode())
    return Answer(got.status_code, got.content, {name.lower(): value for name, value in got.headers.items()})


def _known(httpx: Any, authorities: str) -> Any:
    """A balancer's certificate may be of a public authority, whatever a proxy on the way to AWS has."""
    if not authorities:
        return True
    known = httpx.create_ssl_context()
    is_folder = Path(authorities).is_dir()
    known.load_verify_locations(capath=authorities if is_folder else None, cafile=None if is_folder else authorities)
    return known


def unreached(address: str, reason: str) -> Answer:
    """The copies behind a balancer were found well by it: whoever cannot connect is not in its network."""
    where = "; the balancer is internal, and this machine has to be in its network" if _INTERNAL in address else ""
    return Answer(0, f"{reason}{where}".encode(), is_unreached=True)
