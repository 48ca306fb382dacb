"""What monitoring asks: counts of what arrived while the emulator runs, in the text format of Prometheus.

Nothing that a client chooses is a label: no account, event or fault has a name here.
"""

import time
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from ours_emulator.model import Exchange, Rejection
from ours_emulator.records import Summary

_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """The counts of one emulator since its start. A reset leaves them as they are; what is stored is asked for."""

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
        self._stored = {
            name: self._gauge(name, text)
            for name, text in (
                ("stored_visitors", "Visitors in the store."),
                ("stored_requests", "Requests in the store."),
                ("stored_events", "Events in the store."),
                ("evicted_requests", "Requests deleted to make room, of the accounts in the store."),
                ("evicted_events", "Events deleted to make room, of the accounts in the store."),
                ("store_bytes", "Size of the store."),
            )
        }

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

    def text(self, stored: Summary, size: int) -> bytes:
        """Return the counts, with what is *stored* now, in a store of *size* bytes."""
        values = {
            "stored_visitors": stored.visitors,
            "stored_requests": stored.requests,
            "stored_events": sum(stored.outcomes.values()),
            "evicted_requests": stored.evicted_requests,
            "evicted_events": stored.evicted_events,
            "store_bytes": size,
        }
        for name, value in values.items():
            self._stored[name].set(value)
        return generate_latest(self._registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"ours_emulator_{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, labels: Iterable[str] = ()) -> Gauge:
        return Gauge(f"ours_emulator_{name}", text, labels, registry=self._registry)
