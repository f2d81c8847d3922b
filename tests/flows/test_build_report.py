"""What a build tells of itself: layers of the very first one were made by it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from mlship.flows.building.images import Build
from mlship.flows.building.report import explained
from mlship.flows.context import Context
from mlship.home import Home
from mlship.oci.image import Descriptor, Image, Layer
from mlship.progress import Silent
from mlship.runner import LocalRunner


@pytest.mark.parametrize(("unchanged", "verdict"), [(False, "made"), (True, "cached")])
def test_layers_of_the_first_build_on_a_machine_are_made_by_it(unchanged: bool, verdict: str, tmp_path: Path):
    layer = Layer(Descriptor("", "sha256:1", 1), "sha256:2", 1, "code", "code")
    image = Image("sha256:c", "linux/amd64", (layer,), {}, Descriptor("", "sha256:m", 1))
    fields: dict[str, Any] = {"project": None, "record": None, "lock": None}
    done = Build(**fields, image=image, findings=(), before=frozenset(), unchanged=unchanged)
    context = SimpleNamespace(home=Home(tmp_path), runner=LocalRunner(), progress=Silent(), environ={})
    (told,) = explained(cast(Context, context), done, {})
    assert [why.verdict for why in told.whys] == [verdict]
