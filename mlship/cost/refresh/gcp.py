"""Google's Cloud Billing Catalog: the SKUs of a service, in pages. It needs an API key, sent as a header."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from urllib.parse import quote

from mlship.cost.book import Dated
from mlship.cost.refresh import gcp_skus
from mlship.cost.refresh.base import VM, Machines, Missing, Part
from mlship.cost.refresh.gcp_skus import COMPUTE, LOGGING, RUN, SERVICES, SOURCE, STORAGE, VERTEX, Rate
from mlship.cost.refresh.reading import Reading, Vendor
from mlship.errors import MlshipError
from mlship.progress import Progress

VENDOR = Vendor("Google's billing catalog", "cloudbilling.googleapis.com", "MLSHIP_PRICES_GCP")
KEY = "GOOGLE_API_KEY"
KEY_HEADER = "X-Goog-Api-Key"
PAGE = 1000  # SKUs, about 1.5 MB; 5,000 at most
MOST_PAGES = 500
_NAMES = {COMPUTE: "Compute Engine", RUN: "Cloud Run", VERTEX: "Vertex AI", STORAGE: "Cloud Storage", LOGGING: "Cloud Logging"}


def headers(environ: Mapping[str, str]) -> dict[str, str]:
    """Empty without a key. Raises MlshipError for one that cannot be sent; it is never shown."""
    key = environ.get(KEY, "").strip()
    if not key:
        return {}
    if not (key.isascii() and key.isprintable()) or " " in key or len(key) > 200:
        raise MlshipError(f"{KEY} is no API key: it has characters that none has", KEY, "set it anew", code="bad-key")
    return {KEY_HEADER: key}


def parts(
    reading: Reading, regions: Iterable[str], services: Iterable[str], machines: Machines, day: str, progress: Progress
) -> Iterator[Part | Missing]:
    """One service after another, for all regions at once; one that fails leaves the others alone. day: of asking."""
    regions, wanted, dated = tuple(regions), set(services), Dated(SOURCE, day)
    for service in dict.fromkeys(SERVICES[name] for name in SERVICES if name in wanted):
        progress.step("prices", f"gcp {_NAMES[service]}")
        try:
            listed = gcp_skus.rates(_skus(reading, service))
        except MlshipError as error:
            yield Missing("gcp", f"{', '.join(regions)} {_NAMES[service]}", error.what, error.fix, error.exit)
            continue
        for what, make in _questions(service, listed, regions, wanted, machines, dated):
            try:
                yield make()
            except MlshipError as error:
                yield Missing("gcp", what, error.what, error.fix, error.exit)


def _questions(
    service: str, listed: tuple[Rate, ...], regions: tuple[str, ...], wanted: set[str], machines: Machines, dated: Dated
) -> Iterator[tuple[str, Callable[[], Part]]]:
    """What is to be made of the SKUs of one service, each with its name."""
    if service == RUN:
        yield "Cloud Run", partial(gcp_skus.cloud_run, listed, dated)
        return
    if service == LOGGING:
        yield "Cloud Logging", partial(gcp_skus.logging, listed, dated)
        return
    for region in regions:
        here = [rate for rate in listed if region in rate.regions]
        if service == VERTEX:
            yield f"{region} Vertex AI", partial(gcp_skus.vertex, region, here, machines, dated)
        if service == STORAGE:
            yield f"{region} storage", partial(gcp_skus.storage, region, here, dated)
        if service == COMPUTE and VM in wanted:
            yield f"{region} machines", partial(gcp_skus.machines, region, here, machines, dated)
        if service == COMPUTE and wanted & {"persistent_disk", "nat"}:
            yield f"{region} disks", partial(gcp_skus.disks, region, here, wanted, dated)


def _skus(reading: Reading, service: str) -> Iterator[gcp_skus.Sku]:
    token, seen = "", set[str]()
    for _ in range(MOST_PAGES):
        following = f"&pageToken={quote(token)}" if token else ""
        page = reading.document(f"{reading.base}/v1/services/{service}/skus?pageSize={PAGE}{following}", _NAMES[service])
        skus = page.get("skus", []) if isinstance(page, dict) else None
        if not isinstance(skus, list) or not all(isinstance(sku, dict) for sku in skus):
            raise reading.strange(f"answers for {_NAMES[service]} in a form that mlship does not know")
        yield from skus
        token = str(page.get("nextPageToken") or "")
        if not token:
            return
        if token in seen:
            raise reading.strange(f"leads back to a page of {_NAMES[service]} that was read already")
        seen.add(token)
    raise reading.strange(f"has more than {MOST_PAGES} pages for {_NAMES[service]}")
