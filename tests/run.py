"""The whole suite: fast tests side by side, then the stories one after the other. `make test` runs this.

The stories measure and kill things, so nothing else may run beside them.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", default="2")
    jobs = parser.parse_args().jobs
    fast = pytest("fast", "-m", "not world and not engine", "-n", jobs, "--dist", "worksteal")
    stories = pytest("stories", "-m", "world or engine", "-rs", "--durations", "10")
    lines = [f"fast: {fast[1]}", f"stories: {stories[1]}"]
    summary = ROOT / ".test" / "summary"
    summary.parent.mkdir(exist_ok=True)
    summary.write_text("; ".join(lines) + "\n")
    print("\n".join(lines), flush=True)
    return fast[0] or stories[0]


def pytest(title: str, *options: str) -> tuple[int, str]:
    """Exit code and closing line; what pytest prints is passed on as it comes."""
    print(f"-- {title}", flush=True)
    command = [sys.executable, "-m", "pytest", *options]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        last = ""
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line.strip() or last
        code = process.wait()
    return (0 if code == 5 else code), last.strip("= ")  # 5: nothing was collected


if __name__ == "__main__":
    sys.exit(main())
