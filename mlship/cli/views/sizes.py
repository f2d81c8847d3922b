"""What makes an image big: its largest packages and layers, by share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlship.cli.views.text import percent
from mlship.flows.building.results import Built
from mlship.units import size_text

if TYPE_CHECKING:
    from mlship.image.sizes import Part

ROWS = 8


def largest_rows(result: Built) -> list[list[str]]:
    """The largest parts of the image, unpacked, with their shares; then all others as one row."""
    from mlship.image.sizes import largest

    first, others = largest(result.parts, ROWS)
    told = [(_name(part), part.size) for part in first]
    if others:
        told.append((f"{len(others)} others", sum(part.size for part in others)))
    width = max((len(size_text(size)) for _, size in told), default=0)
    cells = [[name, f"{size_text(size):>{width}}  {_share(size, result.size):>5}"] for name, size in told]
    return [["" if row else "largest", *cell] for row, cell in enumerate(cells)]


def _name(part: Part) -> str:
    """Versions of the operating system's packages are long and chosen by nobody."""
    match part.kind:
        case "python":
            return f"{part.name} {part.version}".rstrip()
        case "system":
            return part.name
        case _:
            return part.kind if part.name in ("", part.kind) else f"{part.kind} {part.name}"


def _share(size: int, whole: int) -> str:
    return percent(round(size / whole, 2)) if size * 200 >= whole else "< 1 %"
