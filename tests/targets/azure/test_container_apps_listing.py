"""What `mlship list` says where Azure cannot be asked."""

from __future__ import annotations

from typing import Any, cast

import pytest

from mlship.errors import Exit, MlshipError
from mlship.targets.azure.container_apps.listing import services
from mlship.targets.azure.door import Door
from mlship.targets.base import Opening


class Shut:
    """A door that nobody gets through. exit: why."""

    subscription = "00000000-0000-0000-0000-000000000000"

    def __init__(self, exit: Exit) -> None:
        self.exit = exit

    def all(self, *_: Any) -> Any:
        raise MlshipError("Azure cannot be asked", fix="az login", exit=self.exit)


@pytest.mark.parametrize(
    ("exit", "said"), [(Exit.DENIED, Exit.DENIED), (Exit.UNREACHABLE, Exit.UNREACHABLE), (Exit.USAGE, Exit.UNREACHABLE)]
)
def test_missing_credentials_are_no_missing_network(exit: Exit, said: Exit) -> None:
    with pytest.raises(MlshipError) as raised:
        services(cast(Opening, None), cast(Door, Shut(exit)))
    assert (raised.value.exit, raised.value.fix) == (said, "az login")
