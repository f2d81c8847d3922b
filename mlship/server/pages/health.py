"""Is it alive, is it ready, which release is it."""

from __future__ import annotations

from mlship.server.messages import Request, Response, Route, answered
from mlship.server.service import Service


def routes(service: Service) -> list[Route]:
    """/livez, /readyz, /mlship/release."""

    def livez(request: Request) -> Response:
        return answered({"status": "alive"})

    def readyz(request: Request) -> Response:
        return answered({"status": "ready"}) if service.is_ready else answered({"status": state(service)}, 503)

    def release(request: Request) -> Response:
        return answered(service.identity())

    return [
        Route("/livez", {"GET": livez}),
        Route("/readyz", {"GET": readyz}),
        Route("/mlship/release", {"GET": release}),
    ]


def state(service: Service) -> str:
    """Why a server that is not ready is not."""
    if service.is_draining:
        return "draining"
    return "a worker cannot load its models" if service.is_failing else "starting"
