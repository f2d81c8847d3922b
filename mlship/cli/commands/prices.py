"""mlship prices"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Annotated

import typer

from mlship.cli import payloads
from mlship.cli.answer import Answer
from mlship.cli.call import Call
from mlship.errors import MlshipError


class Act(StrEnum):
    """What is done with the prices."""

    coverage = "coverage"
    refresh = "refresh"
    show = "show"
    take = "import"


class Cloud(StrEnum):
    """Whose prices."""

    aws = "aws"
    gcp = "gcp"
    azure = "azure"


def command(
    call: Call,
    act: Annotated[
        Act, typer.Argument(metavar="[ACT]", help="coverage, refresh, show or import.", show_default=False)
    ] = Act.coverage,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FOLDER | CLOUD REGION TYPE]", help="For import a folder, for show a type of machine.", show_default=False
        ),
    ] = None,
    cloud: Annotated[Cloud | None, typer.Option("--cloud", help="coverage, refresh: of one cloud.", show_default=False)] = None,
    region: Annotated[
        list[str] | None,
        typer.Option("--region", metavar="REGION", help="refresh: only there; may stand several times.", show_default=False),
    ] = None,
    service: Annotated[
        list[str] | None,
        typer.Option("--service", metavar="NAME", help="refresh: only vm, fargate, ...; several times.", show_default=False),
    ] = None,
    as_of: Annotated[
        str, typer.Option("--as-of", metavar="DAY", help="import: the day of the tables.", show_default=False)
    ] = "",
    out: Annotated[str, typer.Option("--out", metavar="FILE", help="import: write the book there.", show_default=False)] = "",
) -> Answer:
    """Which prices mlship knows, and of which day: coverage, import FOLDER.

    `prices coverage` shows for each region how many types of machines have a price, and for each service where it has one and
    what of it is unknown. refresh asks the vendors' public price interfaces and keeps what they say over the shipped book. show
    tells all prices of one type. import reads your own tables over the shipped book: negotiated rates, regions that it lacks.
    """
    words, region, service = words or [], region or [], service or []
    _refuse_misplaced(call, act, {"--region": region, "--service": service}, {"--as-of": as_of, "--out": out}, cloud)
    if act is Act.take:
        return _taken(call, words, as_of, out)
    if act is Act.show:
        return _shown(call, words)
    if words:
        raise MlshipError(f"prices {act.value} takes no folder", fix=call.hint(f"prices {act.value}"), code="usage")
    name = cloud.value if cloud else ""
    return _refreshed(call, name, region, service) if act is Act.refresh else _covered(call, name)


def _refuse_misplaced(
    call: Call, act: Act, of_refresh: dict[str, list[str]], of_import: dict[str, str], cloud: Cloud | None
) -> None:
    misplaced = [option for option, said in of_refresh.items() if said and act is not Act.refresh]
    misplaced += [option for option, said in of_import.items() if said and act is not Act.take]
    misplaced += ["--cloud"] if cloud and act in (Act.take, Act.show) else []
    if misplaced:
        fix = f"{call.hint('prices')} --help"
        raise MlshipError(f"prices {act.value} takes no {misplaced[0]}", misplaced[0], fix, code="usage")


def _covered(call: Call, cloud: str) -> Answer:
    from mlship.cli.views.prices import coverage_text
    from mlship.flows import prices

    found = prices.covered(call.context, cloud)
    return Answer(coverage_text(found), payloads.price_coverage(found), brief=found.as_of)


def _refreshed(call: Call, cloud: str, regions: list[str], services: list[str]) -> Answer:
    from mlship.cli.views.prices import refreshed_text
    from mlship.flows import prices_refresh

    wanted = prices_refresh.Wanted(cloud, tuple(regions), tuple(services))
    done = prices_refresh.refresh(call.context, wanted)
    return Answer(refreshed_text(done), payloads.prices_refreshed(done), brief=str(done.path), exit=done.exit)


def _shown(call: Call, words: list[str]) -> Answer:
    if len(words) != 3 or words[0] not in [*Cloud]:
        fix = call.hint("prices show aws us-east-1 m7g.large")
        raise MlshipError("prices show needs a cloud, a region and a type", fix=fix, code="usage")
    from mlship.cli.views.prices import offer_text
    from mlship.flows import prices

    offer = prices.shown(call.context, *words)
    brief = "" if offer.on_demand is None else f"{offer.on_demand:g}"
    return Answer(offer_text(offer), payloads.price_offer(offer), brief=brief)


def _taken(call: Call, words: list[str], as_of: str, out: str) -> Answer:
    if len(words) != 1:
        said = "a folder" if not words else "one folder"
        fix = call.hint("prices import tables --as-of 2026-11-21")
        raise MlshipError(f"prices import needs {said}", fix=fix, code="usage")
    folder = words[0]
    from mlship.config.words import clipped
    from mlship.cost.book import age_days

    if not re.fullmatch(r"\d{4}-\d\d-\d\d", as_of) or age_days(as_of, as_of) is None:
        fix = call.hint(f"prices import {folder} --as-of 2026-11-21")
        raise MlshipError(
            f"--as-of {clipped(as_of) if as_of else 'is missing'}: the day of the tables has the form 2026-11-21",
            fix=fix,
            code="usage",
        )
    from mlship.cli.views.prices import imported_text
    from mlship.flows import prices

    done = prices.import_tables(call.context, call.path(folder), as_of, call.path(out) if out else None)
    return Answer(imported_text(done), payloads.prices_imported(done), brief=str(done.path))
