"""/metrics: what all workers counted, in Prometheus' text format. prometheus_client writes it, at scrape only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Any

from mlship.server import board as cells
from mlship.server.board import BUCKETS, STATUSES, Board
from mlship.server.messages import Request, Response, Route
from mlship.server.service import Service

UNKNOWN = "other"  # the route label of paths that do not exist: a stranger must not make new time series


def routes(service: Service, paths: Sequence[str]) -> list[Route]:
    """/metrics. paths: label of each counted route, by its index."""

    def metrics(request: Request) -> Response:
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

        registry = CollectorRegistry(auto_describe=False)
        registry.register(Counted(service, paths))
        return Response(200, generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4)

    return [Route("/metrics", {"GET": metrics})]


class Counted:
    """prometheus_client's collector protocol over the board."""

    def __init__(self, service: Service, paths: Sequence[str]) -> None:
        self._service = service
        self._paths = paths

    def collect(self) -> Iterator[Any]:
        """All families, each summed over the workers."""
        yield from self._requests()
        yield from self._work()
        yield from self._info()
        yield from self._process()

    def _requests(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        board = self._service.board
        requests = CounterMetricFamily("mlship_requests", "Answered requests.", labels=("route", "status"))
        latency = HistogramMetricFamily(
            "mlship_request_seconds", "From the last byte of a request to its answer.", labels=("route",)
        )
        for index, path in enumerate(self._paths):
            counts = [sum(column) for column in zip(*(slot.requests(index) for slot in board.slots()), strict=True)]
            for status, count in zip((*map(str, STATUSES), "other"), counts, strict=True):
                if count:
                    requests.add_metric((path, status), count)
            if any(counts):
                latency.add_metric((path,), *_histogram([slot.latencies(index) for slot in board.slots()]))
        yield requests
        yield latency

    def _work(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

        board = self._service.board
        yield CounterMetricFamily("mlship_rows", "Rows that the model answered.", value=_sum(board, cells.ROWS))
        model = HistogramMetricFamily("mlship_model_seconds", "Time in one call of the model.", labels=())
        model.add_metric((), *_histogram([slot.model_times() for slot in board.slots()]))
        yield model
        yield GaugeMetricFamily(
            "mlship_in_flight", "Calls that wait for the model or run in it.", value=_sum(board, cells.IN_FLIGHT)
        )
        yield GaugeMetricFamily("mlship_connections", "Open connections.", value=_sum(board, cells.CONNECTIONS))

    def _info(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

        service = self._service
        who = {"release": service.settings.release, "project": service.manifest.project, "mlship": service.manifest.mlship}
        yield InfoMetricFamily("mlship_release", "What is served.", value=who)
        models = GaugeMetricFamily("mlship_model_info", "Models in the image.", labels=("model", "framework", "sha256"))
        for entry in service.manifest.models:
            models.add_metric((entry.name, entry.framework, entry.sha256), 1)
        yield models
        ready = sum(slot.cells[cells.STATE] == cells.READY for slot in service.board.slots())
        yield GaugeMetricFamily("mlship_workers", "Workers that should run.", value=service.board.workers)
        yield GaugeMetricFamily("mlship_workers_ready", "Workers that have loaded the models.", value=ready)
        restarts = service.board.cells[cells.RESTARTS]
        yield CounterMetricFamily("mlship_worker_restarts", "Workers replaced because they died or hung.", value=restarts)

    def _process(self) -> Iterator[Any]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        board = self._service.board
        cpu = _sum(board, cells.CPU) + board.cells[cells.RETIRED_CPU] + board.cells[cells.BOSS_CPU]
        yield CounterMetricFamily(
            "process_cpu_seconds", "Processor time of the supervisor and all workers, also past ones.", value=cpu
        )
        memory = _sum(board, cells.RSS) + board.cells[cells.BOSS_RSS]
        yield GaugeMetricFamily(
            "process_resident_memory_bytes", "Memory of the supervisor and all workers; shared pages count twice.", value=memory
        )
        yield GaugeMetricFamily("process_start_time_seconds", "Start of this worker.", value=self._service.started)


def _sum(board: Board, cell: int) -> float:
    return float(sum(slot.cells[cell] for slot in board.slots()))


def _histogram(workers: list[list[float]]) -> tuple[list[tuple[str, float]], float]:
    """(cumulative buckets by upper bound, sum) over all workers."""
    *counts, total = (sum(column) for column in zip(*workers, strict=True))
    bounds = [*map(str, BUCKETS), "+Inf"]
    return list(zip(bounds, accumulate(counts), strict=True)), total
