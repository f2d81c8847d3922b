"""What a load told is kept beside the image, read by later versions, and refused by earlier ones."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from mlship.bench.machine import Processor
from mlship.bench.records import Benches, Measured
from mlship.bench.search import Attempt
from mlship.errors import MlshipError

CONTENT = "sha256:" + "ab" * 32
MEASURED = Measured(
    model="iris",
    where="this machine",
    measured=1_795_000_000.0,
    mlship="0.1.0",
    machine=Processor("AMD EPYC", 2),
    workers=2,
    rows=1,
    requests=1000,
    mean_s=0.011,
    service_time_sample=(0.01, 0.011, 0.012),
    throughput=90.0,
    throughput_one_core=45.0,
    connections=8,
    slo_p99_s=0.04,
    highest_rate=70.0,
    curve=(Attempt(18, 0.011, 0.02, requests=100), Attempt(80, math.inf, math.inf, False, 3)),
    memory_bytes=10**8,
    cold_start_s=0.5,
    busy=0.25,
)
RESTED = replace(MEASURED, rested_mean_s=0.015, rested_sample=(0.014, 0.015, 0.016))

# as the first version wrote it; it is read for ever
FIRST = """{"schema": 1, "content": "sha256:x", "models": [{"model": "iris", "where": "this machine", "measured": 1795000000.0,
"mlship": "0.1.0", "machine": {"model": "AMD EPYC", "cores": 2}, "workers": 2, "rows": 1, "requests": 1000, "mean_s": 0.011,
"service_time_sample": [0.01, 0.011, 0.012], "throughput": 90.0, "throughput_one_core": 45.0, "connections": 8, "slo_p99_s": 0.04,
"highest_rate": 70.0, "curve": [{"rate": 18, "p50_s": 0.011, "p99_s": 0.02, "is_clean": true, "requests": 100},
{"rate": 80, "p50_s": null, "p99_s": null, "is_clean": false, "requests": 3}], "memory_bytes": 100000000, "cold_start_s": 0.5,
"busy": 0.25}]}"""


def file_of(folder: Path) -> Path:
    return folder / "benches" / f"{'ab' * 32}.json"


def written(folder: Path, text: str) -> Benches:
    file_of(folder).parent.mkdir()
    file_of(folder).write_text(text)
    return Benches(folder)


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    Benches(tmp_path).write(CONTENT, MEASURED)
    assert Benches(tmp_path).of_content(CONTENT) == MEASURED
    assert Benches(tmp_path).of_content("sha256:" + "cd" * 32) is None


def test_times_after_rests_are_kept(tmp_path: Path) -> None:
    Benches(tmp_path).write(CONTENT, RESTED)
    assert Benches(tmp_path).of_content(CONTENT) == RESTED


def test_the_first_schema_is_read(tmp_path: Path) -> None:
    assert written(tmp_path, FIRST).of_content(CONTENT) == MEASURED


def test_each_model_of_an_image_has_its_own(tmp_path: Path) -> None:
    benches = Benches(tmp_path)
    other = replace(MEASURED, model="price", throughput=5.0)
    newer = replace(MEASURED, throughput=6.0)
    for one in (MEASURED, other, newer):
        benches.write(CONTENT, one)
    assert (benches.of_content(CONTENT), benches.of_content(CONTENT, "price")) == (newer, other)
    assert benches.of_content(CONTENT, "prise") is None


def test_what_a_newer_mlship_wrote_is_refused(tmp_path: Path) -> None:
    benches = written(tmp_path, json.dumps({"schema": 3, "models": "unknown"}))
    with pytest.raises(MlshipError, match="what a load told was written by a newer mlship"):
        benches.of_content(CONTENT)
    with pytest.raises(MlshipError, match="newer"):
        benches.write(CONTENT, MEASURED)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"schema": 1}', '{"schema": "1", "models": []}', FIRST.replace("0.012", '"x"'),
     FIRST.replace("0.012", "0.001"), FIRST.replace("0.012", "NaN"), FIRST.replace('"rows"', '"columns"')],
)  # fmt: skip
def test_what_is_damaged_is_said(tmp_path: Path, text: str) -> None:
    benches = written(tmp_path, text)
    with pytest.raises(MlshipError, match=r"what a load told is damaged.*rm "):
        benches.of_content(CONTENT)
