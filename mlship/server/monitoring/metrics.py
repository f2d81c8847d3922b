"""/metrics: what all workers counted, in Prometheus' text format. prometheus_client writes it, at scrape only."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any

from mlship.server import board as cells
from mlship.server.board import BUCKETS, CLASSES, REASONS, SIZES, STATUSES, Board, Slot
from mlship.server.messages import Request, Response, Route, refused
from mlship.server.monitoring import drift_metrics
from mlship.server.service import Service

UNKNOWN = "other"  # the route label of paths that do not exist: a stranger must not make new time series


def routes(service: Service, paths: Sequence[str]) -> list[Route]:
    """/metrics. paths: label of each counted route, by its index."""

    def metrics(request: Request) -> Response:
        if not service.settings.metrics:
            return refused(404, "nothing is counted: the server runs with MLSHIP_METRICS=0", request.id)
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

        registry = CollectorRegistry(auto_describe=False)
        with_bins = drift_metrics.BINS in request.target.partition("?")[2].split("&")
        registry.register(Counted(service, paths, with_bins))
        return Response(200, generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4)

    return [Route("/metrics", {"GET": metrics})]


class Counted:
    """prometheus_client's collector protocol over the board. Every label's values are known before the first request."""

    def __init__(self, service: Service, paths: Sequence[str], with_bins: bool = False) -> None:
        self._service = service
        self._with_bins = with_bins
        self._board = service.board
        self._paths = paths
        self._models = [entry.name for entry in service.manifest.models]

    def collect(self) -> Iterator[Any]:
        """All families, each summed over the workers."""
        yield from self._requests()
        yield from self._models_work()
        yield from drift_metrics.families(self._service.manifest, self._board, self._with_bins)
        yield from self._now()
        yield from self._info()
        yield from self._process()

    def _requests(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        requests = CounterMetricFamily("mlship_requests", "Answered requests.", labels=("route", "status"))
        latency = HistogramMetricFamily(
            "mlship_request_seconds", "From the last byte of a request to its answer.", labels=("route", "status_class")
        )
        for index, path in enumerate(self._paths):
            for status, count in zip((*map(str, STATUSES), "other"), self._sum(Slot.requests, index), strict=True):
                if count:
                    requests.add_metric((path, status), count)
            for kind, name in enumerate(CLASSES):
                histogram = self._sum(Slot.latencies, index, kind)
                if any(histogram):
                    latency.add_metric((path, name), *_histogram(histogram, BUCKETS))
        yield requests
        yield latency
        refusals = CounterMetricFamily(
            "mlship_refusals", "Requests that were turned away before any work was done for them.", labels=("reason",)
        )
        for reason, count in zip(REASONS, self._sum(Slot.refusals), strict=True):
            refusals.add_metric((reason,), count)
        yield refusals

    def _models_work(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        rows = CounterMetricFamily("mlship_rows", "Rows that the model answered.", labels=("model",))
        for index, name in enumerate(self._models):
            rows.add_metric((name,), sum(slot.rows(index) for slot in self._board.slots()))
        yield rows
        for family, words, read, bounds in (
            ("mlship_model_seconds", "Time in one call of the model.", Slot.model_times, BUCKETS),
            ("mlship_queue_seconds", "Time that a request waited for the model.", Slot.queue_times, BUCKETS),
            ("mlship_batch_rows", "Rows in one call of the model.", Slot.batch_rows, SIZES),
        ):
            histogram = HistogramMetricFamily(family, words, labels=("model",))
            for index, name in enumerate(self._models):
                histogram.add_metric((name,), *_histogram(self._sum(read, index), bounds))
            yield histogram

    def _now(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        board = self._board
        for family, words, cell in (
            ("mlship_rows_in_flight", "Rows that wait for the model or are computed.", cells.IN_FLIGHT),
            ("mlship_connections", "Open connections.", cells.CONNECTIONS),
        ):
            yield GaugeMetricFamily(family, words, value=_total(board, cell))
        ready = sum(slot.cells[cells.STATE] == cells.READY for slot in board.slots())
        yield GaugeMetricFamily("mlship_workers", "Workers that should run.", value=board.workers)
        yield GaugeMetricFamily("mlship_workers_ready", "Workers that have loaded the models.", value=ready)
        restarts = board.cells[cells.RESTARTS]
        yield CounterMetricFamily("mlship_worker_restarts", "Workers replaced because they died or hung.", value=restarts)

    def _info(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

        service = self._service
        who = {"release": service.settings.release, "project": service.manifest.project, "mlship": service.manifest.mlship}
        yield InfoMetricFamily("mlship_release", "What is served.", value=who)
        models = GaugeMetricFamily(
            "mlship_model_info",
            "Models in the image, and what computes them.",
            labels=("model", "framework", "engine", "sha256"),
        )
        for name, model in service.models.items():
            models.add_metric((name, model.entry.framework, model.loaded.title, model.entry.sha256), 1)
        yield models
        devices = GaugeMetricFamily("mlship_device_info", "What each worker computes on.", labels=("worker", "device"))
        for worker, device in enumerate(service.devices):
            devices.add_metric((str(worker), device), 1)
        yield devices
        yield InfoMetricFamily("python", "The interpreter.", value={"version": platform.python_version()})

    def _process(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        board = self._board
        cpu = _total(board, cells.CPU) + board.cells[cells.RETIRED_CPU] + board.cells[cells.BOSS_CPU]
        yield CounterMetricFamily(
            "process_cpu_seconds", "Processor time of the supervisor and all workers, also past ones.", value=cpu
        )
        memory = _total(board, cells.RSS) + board.cells[cells.BOSS_RSS]
        yield GaugeMetricFamily(
            "process_resident_memory_bytes", "Memory of the supervisor and all workers; shared pages count twice.", value=memory
        )
        yield GaugeMetricFamily("process_start_time_seconds", "Start of this worker.", value=self._service.started)

    def _sum(self, read: Callable[..., list[float]], *which: int) -> list[float]:
        """Cell by cell over the workers."""
        return [sum(column) for column in zip(*(read(slot, *which) for slot in self._board.slots()), strict=True)]


def _total(board: Board, cell: int) -> float:
    return float(sum(slot.cells[cell] for slot in board.slots()))


def _histogram(cells: Sequence[float], bounds: Sequence[float]) -> tuple[list[tuple[str, float]], float]:
    """(count of what is at most each bound, the sum), as Prometheus has it."""
    *counts, total = cells
    return list(zip((*map(str, bounds), "+Inf"), accumulate(counts), strict=True)), total
