"""A service whose file names secrets and a certificate: what flows/plan.py makes of them, without building an image."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from typing import Any

from onprem import Service, Wish

from mlship.flows.secrets import Given, with_secrets
from mlship.releases.history import History
from mlship.targets.base import Certificate, Deployment, Observed


class Kept(Service):
    """values, certificate: as read from the file's places. keep: releases that stay restorable."""

    values: Mapping[str, str] = {}
    certificate: Certificate | None = None
    keep: int = 5

    def with_values(self, **values: str) -> Kept:
        self.values = values
        return self

    def wanted(self, wish: Wish, observed: Observed) -> Deployment:
        plain = super().wanted(wish, observed)
        history = observed.history or History(self.project, self.environment, "docker")
        with closing(self.open()) as target:
            versions = target.secret_versions(self.values, observed.history)
        served = replace(plain.release.served, secrets=versions)
        release = replace(plain.release, served=served, sequence=history.next_sequence, created=time.time())
        for known in (history.underway.release if history.underway else None, history.live_release):
            if known is not None and known.served.digest() == served.digest():
                release = known
        settings: dict[str, Any] = dict(plain.settings)
        if self.certificate is not None:
            settings["tls"] = {"cert": "cert.pem", "key": "secret:TLS_KEY"}
        made = replace(plain, release=release, keep=self.keep, settings=settings)
        return with_secrets(
            replace(made, operating={**made.operating, "settings": settings}), Given(self.values, self.certificate)
        )
