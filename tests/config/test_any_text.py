"""Any text at all ends in a Project or in a user's error."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlship.config.load import load_project
from mlship.errors import MlshipError

EXAMPLE = (Path(__file__).parent.parent.parent / "mlship.yaml.example").read_bytes()
SCRAPS = [
    "name",
    "model",
    ": ",
    "\n",
    "  ",
    "- ",
    "[",
    "]",
    "{",
    "}",
    ",",
    "? ",
    "&a ",
    "*a",
    "!t ",
    "<<",
    "|\n",
    ">\n",
    '"',
    "'",
]
SCRAPS += ["#", "%", "---\n", "...\n", "0x1F", "010", "1e9", ".nan", "null", "~", "true", "no", "2GiB", "1..3", "\\u202e", "\t"]
SCRAPS += ["serve", "workers", "environments", "prod", "scale", "replicas", "labels", "env", "targets", "models", "é", "😀"]


def loads_or_is_refused(folder: Path, content: bytes) -> None:
    file = folder / "mlship.yaml"
    file.write_bytes(content)
    with suppress(MlshipError):
        load_project(file)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pieces=st.lists(st.sampled_from(SCRAPS), max_size=40))
def test_scraps_of_yaml_never_end_in_a_trace(pieces: list[str], folder: Path) -> None:
    loads_or_is_refused(folder, "".join(pieces).encode())


@settings(max_examples=25, deadline=None)
@given(
    at=st.integers(0, len(EXAMPLE)),
    size=st.integers(0, 20),
    scrap=st.binary(max_size=6) | st.sampled_from(SCRAPS).map(str.encode),
)
def test_a_damaged_example_never_ends_in_a_trace(at: int, size: int, scrap: bytes, folder: Path) -> None:
    loads_or_is_refused(folder, EXAMPLE[:at] + scrap + EXAMPLE[at + size :])
