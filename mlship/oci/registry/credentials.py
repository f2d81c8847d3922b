"""Who one is at a registry: values, and the seam through which targets hand in their own."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

from mlship.units import Secret

# Users that go with a cloud's short-lived token as the password:
ECR_USER = "AWS"  # Amazon ECR, "Private registry authentication": the token of get-authorization-token
ARTIFACT_REGISTRY_USER = "oauth2accesstoken"  # Google Artifact Registry, "Set up authentication for Docker": an access token
ACR_USER = "00000000-0000-0000-0000-000000000000"  # Azure Container Registry, "az acr login --expose-token"


@dataclass(frozen=True)
class Credentials:
    """A user with a password, or an identity token (an OAuth refresh token that stands for both; user is empty then)."""

    user: str
    password: Secret
    source: str = ""

    @property
    def is_identity_token(self) -> bool:
        return not self.user

    def basic(self) -> str:
        """The value of an Authorization header: a secret."""
        pair = f"{self.user}:{self.password.reveal()}".encode()
        return "Basic " + base64.b64encode(pair).decode()


CredentialSource = Callable[[str], Credentials | None]
"""Credentials for a registry (`localhost:5000`, `docker.io`); None where there are none, which means to try without.

It is asked again when the registry stops accepting what it gave, so that a target may hand in a fresh cloud token."""


def nobody(registry: str) -> Credentials | None:
    """No credentials at all: for public images."""
    return None
