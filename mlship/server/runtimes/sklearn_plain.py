"""What scikit-learn asks of every array since it takes those of other libraries, too: which namespace it has, and which device.

While `array_api_dispatch` is off, as it is unless somebody turns it on, the answer for plain arrays is always the same, and asking is
a fifth of the time of a linear model's one row (measured with scikit-learn 1.9). The setting is read each time; where it is on, and
for all other arrays, scikit-learn is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Ask = Callable[..., Any]


class PlainArrays:
    """The short ways for arrays of numpy's own type. Made while nothing is dispatched: what scikit-learn answers then is kept."""

    def __init__(self, array_api: Any, held: Any, default: Mapping[str, Any]) -> None:
        """array_api: scikit-learn's module. held: has the configuration of the thread in `global_config`, else it is the default."""
        import numpy

        self._held, self._default = held, default
        self._array = numpy.ndarray
        self._namespace, _, self._device = array_api.get_namespace_and_device(numpy.empty(0))

    def get_namespace(self, ask: Ask) -> Ask:
        held, default, plain = self._held, self._default, self._namespace

        def short(*arrays: Any, xp: Any = None, **named: Any) -> Any:
            if getattr(held, "global_config", default)["array_api_dispatch"]:
                return ask(*arrays, xp=xp, **named)
            return (plain if xp is None else xp), False

        return short

    def get_namespace_and_device(self, ask: Ask) -> Ask:
        held, default, kind = self._held, self._default, self._array
        answer = self._namespace, False, self._device

        def short(*arrays: Any, **named: Any) -> Any:
            is_plain = len(arrays) == 1 and type(arrays[0]) is kind and not named
            if not is_plain or getattr(held, "global_config", default)["array_api_dispatch"]:
                return ask(*arrays, **named)
            return answer

        return short

    def check_same_namespace(self, ask: Ask) -> Ask:
        held, default = self._held, self._default

        def short(X: Any, estimator: Any, *, attribute: str, method: str) -> None:  # noqa: N803  the name it has
            if getattr(held, "global_config", default)["array_api_dispatch"]:
                ask(X, estimator, attribute=attribute, method=method)

        return short

    def move_to(self, ask: Ask) -> Ask:
        held, default, kind, plain, here = self._held, self._default, self._array, self._namespace, self._device

        def short(*arrays: Any, xp: Any, device: Any) -> Any:
            is_there = len(arrays) == 1 and type(arrays[0]) is kind and xp is plain and device == here
            if not is_there or getattr(held, "global_config", default)["array_api_dispatch"]:
                return ask(*arrays, xp=xp, device=device)
            return arrays[0]

        return short

    def _expit(self, ask: Ask) -> Ask:
        from scipy.special import expit

        held, default, kind, plain = self._held, self._default, self._array, self._namespace

        def short(*arguments: Any, **named: Any) -> Any:  # before 1.9 `xp` comes second, and there is no `out`
            is_plain = len(arguments) == 1 and type(arguments[0]) is kind and named.get("xp", plain) is plain
            if not is_plain or getattr(held, "global_config", default)["array_api_dispatch"]:
                return ask(*arguments, **named)
            return expit(arguments[0], out=named.get("out"))

        return short

    def safe_sparse_dot(self, ask: Ask) -> Ask:
        kind = self._array

        def short(a: Any, b: Any, *, dense_output: bool = False) -> Any:
            if type(a) is kind and type(b) is kind and a.ndim <= 2 and b.ndim <= 2:
                return a @ b
            return ask(a, b, dense_output=dense_output)

        return short
