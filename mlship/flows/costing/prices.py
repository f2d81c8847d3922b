"""The prices that count for a project: the book of this machine, under those of its own. And the day of the question."""

from __future__ import annotations

import datetime

from mlship.config.project import Project
from mlship.cost.book import PriceBook
from mlship.flows.context import Context
from mlship.flows.costing.asked import Asked
from mlship.flows.costing.files import text_of
from mlship.flows.prices import price_book


def prices_of(context: Context, asked: Asked, project: Project | None) -> PriceBook:
    """Under those that the command line or the file names. Raises MlshipError where such a file cannot be taken."""
    said = project.cost.price_overrides if project is not None else None
    path = asked.overrides or (project.root / said if project is not None and said else None)
    if path is None:
        return price_book(context)
    # here and not above: few have prices of their own
    from mlship.cost.overrides import parse

    text = text_of(path, path.name, "a YAML file of prices")
    return parse(text, path.name).applied(price_book(context))


def today(context: Context) -> str:
    """`2026-11-22`."""
    return datetime.datetime.fromtimestamp(context.clock(), datetime.UTC).date().isoformat()
