"""What packages require and a server of theirs never imports: left out of images. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping

# package -> what it requires for notebooks and drawings, or takes as well. catboost 1.2.10 imports pandas only where it is there
# (core.py), and the others in the functions that draw (plot_helpers.py, core.py); a model that needs one of them says so itself.
UNUSED: Mapping[str, tuple[str, ...]] = {"catboost": ("graphviz", "matplotlib", "pandas", "plotly")}


def left_out(names: Collection[str]) -> tuple[str, ...]:
    """What the named packages require and none of them is, sorted."""
    return tuple(sorted({unused for name in names for unused in UNUSED.get(name, ())} - set(names)))


def dropped(name: str) -> str:
    """An override that takes a package out of a resolution, whoever requires it: its marker is never true."""
    return f'{name} ; python_version < "3"'
