"""A chart of cost against traffic, written to a file: SVG by itself, PNG with the extra `plot`."""

from __future__ import annotations

from pathlib import Path

from mlship.cost.plot import Chart, chart, svg
from mlship.disk import disk_errors, write_atomic
from mlship.errors import MlshipError, need
from mlship.flows.cost_estimate import Estimated

_SHARP = 2  # pixels of a PNG for one of the SVG's


def write_chart(found: Estimated, path: Path) -> Path:
    """path: its suffix, `.svg` or `.png`, says the format. Raises MlshipError where there is nothing to draw."""
    if path.suffix.lower() not in (".svg", ".png"):
        raise MlshipError(f"--plot {path.name} is neither .svg nor .png", "--plot", "name it cost.svg", code="usage")
    text = chart_svg(found)
    content = text.encode() if path.suffix.lower() == ".svg" else png(text)
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)
    return path


def chart_svg(found: Estimated) -> str:
    """The plans of an estimate at other rates of the same shape of traffic."""
    traffic = found.workload.traffic
    note = f"prices as of {found.prices_as_of}" + (f", traffic as in {traffic.source}" if traffic and traffic.source else "")
    drawn = chart(found.plans, found.at_rate, traffic.mean if traffic else None, note) if found.at_rate else Chart(())
    if not drawn.series:
        raise MlshipError(
            "there is nothing to draw: nobody knows what any plan costs at any rate",
            "--plot",
            "say --service-time, and fill prices in with --prices",
            code="nothing-to-draw",
        )
    return svg(drawn)


def png(text: str) -> bytes:
    """The picture of an SVG. Raises MlshipError where the extra is not installed, or the machine has no font to write with."""
    if _is_blank(_picture(_LETTERS)):
        raise MlshipError(
            "this machine has no font to write a picture's words with",
            "--plot",
            "name it cost.svg, or install a font: apt-get install fonts-dejavu-core",
            code="no-font",
        )
    return _picture(text)


_LETTERS = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"><text y="15">mlship</text></svg>'
_NOTHING = '<svg xmlns="http://www.w3.org/2000/svg" width="40" height="20"></svg>'


def _is_blank(picture: bytes) -> bool:
    return picture == _picture(_NOTHING)


def _picture(text: str) -> bytes:
    draw = need("resvg_py", extra="plot").svg_to_bytes
    return bytes(draw(svg_string=text, zoom=_SHARP, background="#ffffff"))
