from pathlib import Path

import pytest

from mlship.errors import Exit, MlshipError
from mlship.flows.room import refuse_less, stored_bytes
from mlship.frameworks.base import ModelFile, ModelSpec
from mlship.image.plan import LayerFile, LayerPlan


def test_a_model_for_which_the_disk_has_no_room_is_refused_with_both_figures():
    with pytest.raises(
        MlshipError, match=r"need 4.3 GB \(4300000000 bytes\) below /home/m, and 2.0 GB \(2000000000 bytes\)"
    ) as raised:
        refuse_less(4_300_000_000, 2_000_000_000, Path("/home/m"))
    assert raised.value.exit is Exit.BUILD_FAILED
    assert "nothing was written" in raised.value.fix
    refuse_less(5, 5, Path("/home/m"))


def test_only_layers_that_are_to_be_made_take_room():
    files = tuple(ModelFile(Path(f"/m/{name}"), name, "0" * 64, size) for name, size in (("a", 10), ("b", 200)))
    spec = ModelSpec("m", "m", files, "python", "none", "0" * 64)
    assert stored_bytes([spec], [LayerPlan("model", "m b", (LayerFile("/m/b", Path("/m/b")),), "k")]) == 200
    assert stored_bytes([spec], []) == 0
