"""What the console script does before anything else."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import os, sys
os.umask({mask:#o})
sys.argv = ["mlship", "--version"]
from mlship.cli.app import main
try:
    main()
finally:
    print(oct(os.umask(0)))
"""


def test_nobody_else_may_write_what_mlship_keeps() -> None:
    for mask, kept in ((0o000, "0o22"), (0o002, "0o22"), (0o077, "0o77")):
        done = subprocess.run([sys.executable, "-c", SCRIPT.format(mask=mask)], capture_output=True, text=True, check=False)
        assert done.stdout.split()[-1] == kept
