"""Starting mlship stays cheap: counted in modules here, timed in bench/."""

from __future__ import annotations

import json
import subprocess
import sys

import mlship

HEAVY = {
    "azure", "boto3", "botocore", "click", "docker", "google", "httpx", "isal", "jinja2", "kubernetes", "msgspec", "numpy",
    "pandas", "pydantic", "requests", "rich", "sklearn", "typer", "urllib3", "yaml", "zstandard",
}  # fmt: skip

PROBE = """
import json, sys
before = set(sys.modules)
import mlship.cli.app
codes = [mlship.cli.app.run(words) for words in {lines!r}]
print(json.dumps([max(codes), sorted(set(sys.modules) - before)]))
"""


def modules_after(*lines: str) -> tuple[int, set[str], str]:
    """Highest exit code, the modules that the command lines loaded in one process, and what they printed."""
    probe = PROBE.format(lines=[line.split() for line in lines])
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    *printed, last = done.stdout.splitlines()
    code, loaded = json.loads(last)
    return code, set(loaded), "\n".join(printed)


def packages(modules: set[str]) -> set[str]:
    return {name.split(".")[0] for name in modules}


def test_help_loads_nothing_heavy():
    code, loaded, printed = modules_after("--help", "-h", "help", "")
    assert code == 0
    assert printed.count("mlship COMMAND [options]") == 4
    assert not packages(loaded) & HEAVY


def test_version_loads_nothing_but_mlship_itself():
    code, loaded, printed = modules_after("--version")
    assert (code, printed) == (0, f"mlship {mlship.__version__}")
    assert loaded <= {"mlship", "mlship.cli", "mlship.cli.app", "gc"}  # gc is part of the interpreter


def test_a_command_loads_only_the_parser_until_it_runs():
    code, loaded, _ = modules_after("deploy --help")
    assert code == 0
    assert not packages(loaded) & (HEAVY - {"typer"})
    assert not {name for name in loaded if name.startswith(("mlship.flows.deploy", "mlship.image", "mlship.oci"))}


def test_an_estimate_loads_neither_the_network_nor_anything_that_computes():
    line = "cost-estimate --target aws --service vm --region us-east-1 --instance m7g.large --replicas 3 --rps 20 --service-time 9ms"
    code, loaded, printed = modules_after(line)
    assert (code, "$178.70" in printed) == (0, True)
    assert packages(loaded) & HEAVY == {"typer", "msgspec", "yaml"}
    assert not {name for name in loaded if name.startswith(("mlship.image.build", "mlship.oci", "mlship.cost.refresh"))}
