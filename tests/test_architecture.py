"""mlship keeps the rules of docs/design.md, and the rules catch what they are there for."""

from __future__ import annotations

import pytest
from architecture import broken_rules, sources

PLANTED = {
    "a layer that imports upwards": ("mlship.oci.push", "from mlship.targets.base import Target"),
    "a flow that imports the command line": ("mlship.flows.deploy", "def go():\n    from mlship.cli import terminal"),
    "siblings that import more than values": ("mlship.image.build", "from mlship.targets.base import Target"),
    "a target that imports another target": ("mlship.targets.local.apply", "from mlship.targets.docker import engine"),
    "a target that imports the image builder": ("mlship.targets.local.apply", "from mlship.image.builder import build"),
    "a part without a place": ("mlship.utils.text", ""),
    "a server that imports the rest": ("mlship.server.core", "from mlship.errors import MlshipError"),
    "a server that imports a package of its own choice": ("mlship.server.core", "import httpx"),
    "a server core that knows a framework": ("mlship.server.core", "def load():\n    import sklearn"),
    "a keeper that imports the server": ("mlship.keeper.state", "from mlship.server import manifest"),
    "a keeper with a dependency": ("mlship.keeper.state", "import orjson"),
    "a CLI that imports the server's engine room": ("mlship.image.child", "from mlship.server.core import predict"),
    "a CLI that imports the keeper": ("mlship.targets.docker.records", "from mlship.keeper.state import read"),
    "an open server file with a dependency": ("mlship.server.names", "import numpy"),
    "a heavy package at module level": ("mlship.targets.docker.engine", "import docker"),
    "a heavy package by another spelling": ("mlship.oci.registry", "from httpx import Client"),
    "subprocess outside its door": ("mlship.image.uv", "def go():\n    import subprocess"),
    "a print outside the command line": ("mlship.flows.status", "def go():\n    print(1)"),
    "standard error outside the command line": ("mlship.flows.status", "import sys\ndef go():\n    sys.stderr.write('')"),
    "rich outside the command line": ("mlship.flows.status", "def go():\n    import rich"),
    "an exit in a command": ("mlship.cli.commands.build", "import sys\ndef go():\n    sys.exit(2)"),
    "a SystemExit in a flow": ("mlship.flows.build", "def go():\n    raise SystemExit(2)"),
    "a clock in a pure module": ("mlship.config.load", "import time"),
    "the environment in a pure module": ("mlship.releases.history", "import os\ndef go():\n    return os.environ['A']"),
    "a clock in what a cloud bills": ("mlship.targets.aws.resources", "def go():\n    import time"),
    "randomness in a plan": ("mlship.targets.plan", "def go():\n    from random import random"),
}


def test_mlship_breaks_no_rule_of_its_design():
    broken = broken_rules(sources())
    assert not broken, "\n" + "\n".join(broken)


@pytest.mark.parametrize("violation", PLANTED)
def test_the_rules_catch(violation: str):
    module, text = PLANTED[violation]
    broken = broken_rules({"mlship": "", module: text})
    assert len(broken) == 1, broken
    assert broken[0].startswith(module)


def test_the_rules_catch_a_cycle_that_a_deferred_import_hides():
    planted = {
        "mlship.image.a": "from mlship.image import b",
        "mlship.image.b": "def go():\n    from mlship.image.c import x",
        "mlship.image.c": "from .a import y",
    }
    assert broken_rules(planted) == ["import cycle: mlship.image.a -> mlship.image.b -> mlship.image.c"]


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("mlship.targets.plan", "from mlship.releases.history import History"),
        ("mlship.image.builder", "from mlship.frameworks.base import ModelSpec"),
        ("mlship.frameworks.sklearn", "from mlship.server.manifest import Signature"),
        ("mlship.flows.status", "from mlship.targets.base import Target\nfrom mlship import __version__"),
        ("mlship.server.runtimes.sklearn", "def load():\n    import sklearn"),
        ("mlship.targets.local.holder", "import subprocess"),
        ("mlship.targets.docker.records", "from mlship.keeper.wire import request"),
        ("mlship.oci.registry", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import httpx"),
    ],
)
def test_what_the_design_allows_is_no_violation(module: str, text: str):
    assert broken_rules({"mlship": "", module: text}) == []
