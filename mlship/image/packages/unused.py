"""What packages require and a server of theirs never imports: left out of images. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

# package -> what it requires for drawings; catboost 1.2.10 imports these in the functions that draw (core.py, plot_helpers.py).
UNUSED: Mapping[str, tuple[str, ...]] = {"catboost": ("graphviz", "matplotlib", "plotly")}


def left_out(names: Collection[str]) -> tuple[str, ...]:
    """What the named packages require and none of them is, sorted."""
    return tuple(sorted({unused for name in names for unused in UNUSED.get(name, ())} - set(names)))


def dropped(name: str) -> str:
    """An override that takes a package out of a resolution, whoever requires it: its marker is never true."""
    return f'{name} ; python_version < "3"'
