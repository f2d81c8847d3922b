"""The book of prices: the shipped one, and on it what the user of this machine knows better."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mlship.config.words import clipped, nearest
from mlship.cost.book import Offer, PriceBook
from mlship.cost.book_file import from_bytes, to_bytes
from mlship.cost.coverage import Coverage, coverage
from mlship.cost.own import laid_over
from mlship.cost.tables import INSTANCES, MANAGED, book_from
from mlship.disk import locked, make_folder, write_atomic
from mlship.errors import MlshipError
from mlship.flows.context import Context

SHIPPED = Path(__file__).parent.parent / "cost" / "prices.book"
LARGEST = 64 * 2**20  # bytes of a table


@dataclass(frozen=True)
class Imported:
    """path: the book that was written. offers, services: how many prices came."""

    path: Path
    offers: int
    services: int
    as_of: str


def price_book(context: Context) -> PriceBook:
    """What estimates use: the shipped book, overridden by the user's own. Raises MlshipError where one is damaged."""
    shipped = shipped_book()
    return laid_over(shipped, own_book(context)) if context.home.prices.is_file() else shipped


@cache
def shipped_book() -> PriceBook:
    return from_bytes(SHIPPED.read_bytes(), str(SHIPPED))


def own_book(context: Context) -> PriceBook:
    """What `prices refresh` and `prices import` wrote on this machine; empty where nothing was."""
    own = context.home.prices
    return from_bytes(own.read_bytes(), str(own)) if own.is_file() else PriceBook("")


def covered(context: Context, cloud: str = "") -> Coverage:
    own = own_book(context) if context.home.prices.is_file() else None
    today = datetime.datetime.fromtimestamp(context.clock(), datetime.UTC).date().isoformat()
    return coverage(price_book(context), cloud, own, today)


def shown(context: Context, cloud: str, region: str, name: str) -> Offer:
    """What the book knows of one type in one region. Raises MlshipError where it knows nothing, with what is near."""
    book = price_book(context)
    offer = book.offer(cloud, region, name)
    if offer is None:
        raise _unknown(book, cloud, region, name)
    return offer


def _unknown(book: PriceBook, cloud: str, region: str, name: str) -> MlshipError:
    regions = book.regions(cloud)
    if region not in regions:
        near, what = nearest(region, regions), f"mlship knows no region {clipped(region)} of {clipped(cloud)}"
    else:
        near, what = nearest(name, book.offers[cloud, region]), f"mlship knows no type {clipped(name)} in {cloud} {region}"
    fix = f"did you mean {near}?" if near else f"mlship prices coverage --cloud {cloud}"
    return MlshipError(what, fix=fix, code="unknown-price")


def import_tables(context: Context, folder: Path, as_of: str, out: Path | None = None) -> Imported:
    """The tables of a folder, into the user's own book. as_of: the day of the tables. out: a book of them alone."""
    texts = {name: _text(folder / name) for name in (INSTANCES, MANAGED)}
    if not any(texts.values()):
        raise MlshipError(
            f"{folder} has neither {INSTANCES} nor {MANAGED}", str(folder), "name the folder that has", code="no-tables"
        )
    book = book_from(as_of, texts[INSTANCES], texts[MANAGED])
    if out is None:
        change_own(context.home.prices, lambda own: own.overridden(book))
    else:
        make_folder(out.parent)
        write_atomic(out, to_bytes(book))
    return Imported(out or context.home.prices, sum(1 for _ in book.every_offer()), len(book.services), as_of)


def change_own(path: Path, change: Callable[[PriceBook], PriceBook]) -> None:
    """The user's own book, replaced in one step. Who changes it meanwhile waits: what stands there is what is changed."""
    with locked(path.with_suffix(".lock")):
        own = from_bytes(path.read_bytes(), str(path)) if path.is_file() else PriceBook("")
        write_atomic(path, to_bytes(change(own)))


def _text(path: Path) -> str:
    """`` where there is no such file."""
    if not path.is_file():
        return ""
    if path.stat().st_size > LARGEST:
        raise MlshipError(f"{path} has more than {LARGEST} bytes", str(path), "split it", code="bad-prices")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise MlshipError(f"{path} is not UTF-8 ({error.reason})", str(path), "save it as UTF-8", code="bad-prices") from None
