"""A chart of cost against traffic, written to a file: SVG by itself, PNG with the extra `plot`."""

from __future__ import annotations

from pathlib import Path

from mlship.cost.plot import FONTS, Chart, chart, svg
from mlship.disk import write_atomic
from mlship.errors import MlshipError, need
from mlship.flows.cost_estimate import Estimated

_SHARP = 2  # pixels of a PNG for one of the SVG's


def write_chart(found: Estimated, path: Path) -> Path:
    """path: its suffix, `.svg` or `.png`, says the format. Raises MlshipError where there is nothing to draw."""
    if path.suffix.lower() not in (".svg", ".png"):
        raise MlshipError(f"--plot {path.name} is neither .svg nor .png", "--plot", "name it cost.svg", code="usage")
    text = chart_svg(found)
    content = text.encode() if path.suffix.lower() == ".svg" else png(text)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)
    except OSError as error:
        fix = "name a file in a folder that you may write to"
        raise MlshipError(f"{path} cannot be written ({error.strerror})", "--plot", fix, code="usage") from None
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
    if not _has_font():
        raise MlshipError(
            "this machine has no font to write a picture's words with",
            "--plot",
            "name it cost.svg, or install a font: apt-get install fonts-dejavu-core",
            code="no-font",
        )
    return _picture(text)


_SHEET = '<svg xmlns="http://www.w3.org/2000/svg" width="60" height="20" font-family="{}"><text y="15">{}</text></svg>'


def _has_font() -> bool:
    """Whether letters leave anything on the paper; without a font they are left out silently."""
    return _picture(_SHEET.format(FONTS, "mlship")) != _picture(_SHEET.format(FONTS, ""))


def _picture(text: str) -> bytes:
    draw = need("resvg_py", extra="plot").svg_to_bytes
    return bytes(draw(svg_string=text, zoom=_SHARP, background="#ffffff"))
