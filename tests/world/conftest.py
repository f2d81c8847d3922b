"""Real parts for the stories: shared by every file in this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def engine() -> Iterator[Any]:
    """A docker-py client of the engine that DOCKER_HOST or the default socket names.

    Without one the story is skipped and says why; with MLSHIP_REQUIRE_ENGINE=1 that is a failure.
    """
    import docker

    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except docker.errors.DockerException as error:
        reason = f"no Docker engine: {error}"
        if os.environ.get("MLSHIP_REQUIRE_ENGINE") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    yield client
    client.close()
