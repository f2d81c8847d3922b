"""wrk as the load, where it is installed: it costs a third of what our own does, so that a fast server gets all that it can take.

Every answer is looked at: its numbers must be those of one of the rows that were asked. That each caller got the answer to its own
row is what our own load (load.py) sees; it runs before.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import meter
from load import Result

# what stands before the numbers of an answer, by kind (load.py)
BEFORE = {"predictions": '"predictions"', "v2": '"data"', "bare": "["}
STEP = 1e-5  # answers are compared by numbers rounded to this
SLACK = 1e-6

SCRIPT = """
wrong, failed = 0, 0
local requests, right, known, number = {}, {}, 0, 0
local threads = {}

function setup(thread) table.insert(threads, thread) end

function init(args)
  local file = io.open(args[1], "rb")
  before, width = file:read("*l"), file:read("*n")
  file:read("*l")
  local count = file:read("*n"); file:read("*l")
  for _ = 1, count do right[file:read("*l")] = true end
  count = file:read("*n"); file:read("*l")
  for _ = 1, count do
    local size = file:read("*n"); file:read("*l")
    table.insert(requests, file:read(size)); file:read("*l")
  end
  file:close()
end

function request()
  number = number % #requests + 1
  return requests[number]
end

function response(status, headers, body)
  if status ~= 200 then failed = failed + 1
  elseif not right[body] then
    local from = body:find(before, 1, true)
    local keys = {}
    for found in body:sub((from or 1) + #before):gmatch("%-?%d[%d%.eE+-]*") do
      if #keys == width then break end
      table.insert(keys, string.format("%d", math.floor(tonumber(found) / STEP + 0.5)))
    end
    if from and right[table.concat(keys, ",")] then
      if known < 20000 then right[body] = true; known = known + 1 end
    else wrong = wrong + 1 end
  end
end

function done(summary, latency, requests)
  local wrongs, fails = 0, 0
  for _, thread in ipairs(threads) do
    wrongs = wrongs + thread:get("wrong"); fails = fails + thread:get("failed")
  end
  local errors = summary.errors
  fails = fails + errors.connect + errors.read + errors.write + errors.timeout
  io.stderr:write(string.format('{"all": %d, "wrong": %d, "failed": %d, "seconds": %f, "p50_ms": %f, "p99_ms": %f}\\n',
    summary.requests, wrongs, fails, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
""".replace("STEP", repr(STEP))


def is_there() -> bool:
    return shutil.which("wrk") is not None


def version() -> str:
    told = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout.split()
    return " ".join(told[:2])


def run(job: dict[str, Any], core: int) -> Result:
    """job: as load.py takes it."""
    with tempfile.TemporaryDirectory(prefix="bench-wrk-") as name:
        folder = Path(name)
        (folder / "load.lua").write_text(SCRIPT)
        (folder / "job").write_bytes(_written(job))
        argv = ["wrk", "-t1", f"-c{job['connections']}", f"-d{max(1, round(job['seconds']))}s", "-s", str(folder / "load.lua")]
        server, began = meter.cpu_s(job["server"]), time.perf_counter()
        times = os.times()
        done = subprocess.run(
            [*argv, f"http://127.0.0.1:{job['port']}/", "--", str(folder / "job")], capture_output=True, text=True, check=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        )  # fmt: skip
        own, used, seconds = os.times(), meter.cpu_s(job["server"]) - server, time.perf_counter() - began
    told = json.loads(done.stderr.splitlines()[-1])
    own_s = own.children_user + own.children_system - times.children_user - times.children_system
    right = told["all"] - told["wrong"] - told["failed"]
    return Result(right, told["wrong"], told["failed"], seconds, used, own_s, told["p50_ms"], told["p99_ms"])


def _written(job: dict[str, Any]) -> bytes:
    """Lines of counts and texts, as the script reads them."""
    fixed = [question["fixed"] for question in job["questions"] if "fixed" in question]
    expected = [question["expected"] for question in job["questions"]]
    right = set(fixed) if fixed else {key for numbers in expected for key in keys(numbers)}
    lines = [BEFORE[job["kind"]], str(len(expected[0])), str(len(right)), *sorted(right), str(len(expected))]
    body = "\n".join(lines).encode() + b"\n"
    for question in job["questions"]:
        sent = question["sent"].encode("latin-1")
        body += b"%d\n%s\n" % (len(sent), sent)
    return body


def keys(numbers: Sequence[float]) -> set[str]:
    """What the numbers are rounded to, those included that are only just rounded otherwise."""
    near = [{round_half_up(number + slack) for slack in (-SLACK, 0.0, SLACK)} for number in numbers]
    return {",".join(map(str, chosen)) for chosen in product(*near)}


def round_half_up(number: float) -> int:
    return int((number / STEP + 0.5) // 1)
