"""Counts for monitoring, in the text format of Prometheus.

Names that clients choose are never labels, so the number of series is bounded.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from ours_emulator.model import Exchange, Rejection
from ours_emulator.records import Summary

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The counts of one emulator since its start. A reset leaves them as they are."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(namespace="ours_emulator", registry=self._registry)
        self._requests = self._counter(
            "requests", "Requests to the emulated APIs that were recorded.", "endpoint", "status"
        )
        self._events = self._counter("events", "Events by what became of them.", "endpoint", "outcome")
        self._hints = self._counter("hints", "Hints given with events.", "rule")
        self._refusals = self._counter("refusals", "Events refused.", "rule")
        self._fault_hits = self._counter("fault_hits", "Requests that a planned fault hit.", "endpoint")
        self._durations = Histogram(
            "ours_emulator_request_duration_seconds",
            "Seconds from reading a request to its commit.",
            ["endpoint"],
            buckets=_SECONDS,
            registry=self._registry,
        )

    def count(self, exchanges: Sequence[Exchange]) -> None:
        """Count *exchanges*, which were committed. Any thread may."""
        now = time.perf_counter()
        for exchange in exchanges:
            endpoint = exchange.request.endpoint
            self._requests.labels(endpoint, exchange.answer.status or "none").inc()
            self._durations.labels(endpoint).observe(now - exchange.request.started)
            if exchange.fault is not None:
                self._fault_hits.labels(endpoint).inc()
            for receipt in exchange.receipts:
                self._events.labels(receipt.arrival.endpoint, receipt.outcome).inc()
                for hint in receipt.hints:
                    self._hints.labels(hint.rule).inc()
                if isinstance(receipt.arrival, Rejection):
                    self._refusals.labels(receipt.arrival.reason.rule).inc()

    def text(self) -> bytes:
        """Return the counts."""
        return generate_latest(self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"ours_emulator_{name}", text, labels, registry=self._registry)


_STORED: Mapping[str, tuple[str, Callable[[Summary], int]]] = {
    "stored_visitors": ("Visitors in the store.", lambda stored: stored.visitors),
    "stored_requests": ("Requests in the store.", lambda stored: stored.requests),
    "stored_events": ("Events in the store.", lambda stored: sum(stored.outcomes.values())),
    "evicted_requests": ("Requests that were deleted to make room.", lambda stored: stored.evicted_requests),
    "evicted_events": ("Events that were deleted to make room.", lambda stored: stored.evicted_events),
}


def stored_text(stored: Summary, size: int) -> bytes:
    """Return what is *stored* now, in a store of *size* bytes."""
    registry = CollectorRegistry()
    for name, (text, value) in _STORED.items():
        Gauge(f"ours_emulator_{name}", text, registry=registry).set(value(stored))
    Gauge("ours_emulator_store_bytes", "Size of the store.", registry=registry).set(size)
    return generate_latest(registry)
