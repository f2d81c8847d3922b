"""Answers in which anything stands anywhere: they are refused or read in part, and never end in a trace."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from typing import Any

import pytest
from recorded_prices import APPS, AZURE_RESERVED, AZURE_VMS, COMPUTE, EC2, RUN, price_list

from mlship.cost.book import Dated
from mlship.cost.book_file import from_bytes
from mlship.cost.refresh import aws_rows, azure_items, gcp_skus
from mlship.cost.refresh.base import Machines
from mlship.errors import MlshipError
from mlship.flows.prices import SHIPPED

KNOWN = Machines(from_bytes(SHIPPED.read_bytes()))
DATED = Dated("x", "2026-11-22")
JUNK = (None, True, 5, -1, "", "x", [], {}, 1e400, "1e999", float("nan"), [{}], {"a": 1}, "\x00")
READERS = {
    "gcp machines": (COMPUTE[:12], lambda items: gcp_skus.machines("us-central1", gcp_skus.rates(items), KNOWN, DATED)),
    "gcp cloud run": (RUN, lambda items: gcp_skus.cloud_run(gcp_skus.rates(items), DATED)),
    "azure machines": (AZURE_VMS + AZURE_RESERVED, lambda items: azure_items.machines("eastus", items, KNOWN, "2026-11-22")),
    "azure apps": (
        APPS,
        lambda items: azure_items.services("westus2", "Azure Container Apps", items, azure_items.SERVICES, "2026-11-22"),
    ),
}


def garbled(value: Any, dice: random.Random) -> Any:
    if dice.random() < 0.06:
        return dice.choice(JUNK)
    if isinstance(value, dict):
        return {key: garbled(inner, dice) for key, inner in value.items()}
    return [garbled(inner, dice) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("reader", READERS)
def test_garbled_documents_are_refused_or_read_in_part(reader):
    items, read = READERS[reader]
    plain, dice = json.loads(json.dumps(items)), random.Random(7)
    for _ in range(60):
        some = [item for item in (garbled(item, dice) for item in plain) if isinstance(item, dict)]
        with suppress(MlshipError):
            part = read(some)
            assert all(price.price is not None and 0 <= price.price < 1e12 for price in part.services)
            assert all(priced.on_demand is None or 0 < priced.on_demand < 1e12 for priced in part.machines)


def test_garbled_lists_are_refused_or_read_in_part():
    text, dice = price_list("AmazonEC2", EC2), random.Random(7)
    for _ in range(60):
        letters = [*text]
        for _ in range(dice.randint(1, 6)):
            letters[dice.randrange(len(letters))] = dice.choice('",\n\r\x00é9A-')
        with suppress(MlshipError):
            part = aws_rows.part("AmazonEC2", "us-east-1", iter("".join(letters).split("\n")), KNOWN, aws_rows.SERVICES)
            assert part.machines
