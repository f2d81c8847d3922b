"""Cloud Run keeps the contract of every target: the unmodified clients, against Google's discovery documents (cloud_run_account.py)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("google.cloud.run_v2", reason="no clients of Google Cloud: pip install 'mlship[gcp]'")
pytest.importorskip("googleapiclient", reason="no discovery documents: pip install google-api-python-client")
sys.path.insert(0, str(Path(__file__).parents[1] / "targets"))

from cloud_run_account import CloudRunService, Loopback, loopback
from contract import *  # noqa: F403

pytestmark = pytest.mark.world


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with loopback(tmp_path_factory.mktemp("google")) as found:
        yield found


@pytest.fixture
def harness(tmp_path: Path, there: Loopback) -> CloudRunService:
    there.anew()
    return CloudRunService(tmp_path, there)
