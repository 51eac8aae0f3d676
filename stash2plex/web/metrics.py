"""What ``GET /metrics`` tells Prometheus: the status in numbers.

No token is asked for, so nothing private is in it: no paths, no titles, no addresses.
The labels are few and fixed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

__all__ = ["CONTENT_TYPE_LATEST", "metrics_text"]

_PREFIX = "stash2plex"
_BREAKERS = ("closed", "half_open", "open")
_STATES = ("up", "down", "denied", "unknown")
_SERVER_STATE = ("server", "state")


def metrics_text(status: dict[str, Any], measured: CollectorRegistry) -> bytes:
    """Return what the *status* document says, and what was *measured*.

    In Prometheus's text format.
    """
    registry = CollectorRegistry()
    registry.register(_Figures(status))
    return generate_latest(registry) + generate_latest(measured)


class _Figures(Collector):
    def __init__(self, status: dict[str, Any]) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        status = self._status
        release = {str(status["version"]): 1}
        yield _by("info", "Always 1; the release is its label", "version", release)
        yield from self._queue(status["queue"])
        yield _counter(
            "deliveries", "Deliveries since the start", "outcome", status["deliveries"]
        )
        yield from self._servers()
        yield _by("gaps", "Open gaps", "kind", status["gaps"])
        catalog = status["catalog"]
        sizes = {name: catalog[name] for name in ("scenes", "items")}
        yield _by("catalog_entries", "What the catalogue holds", "side", sizes)
        yield _one("brake", "Whether nothing is forgotten", int(bool(catalog["brake"])))
        yield from self._reconcile(status["reconcile"])
        outages = status["outages"]
        yield _one("outages", "Outages of Plex that are remembered", outages["count"])
        yield _one("availability", "Share of time Plex was up", outages["availability"])
        answers = {
            name: status["provider"][name]
            for name in ("matched", "unmatched", "failed")
        }
        yield _counter(
            "provider_matches", "What Plex asked the provider", "outcome", answers
        )

    def _queue(self, queue: Mapping[str, Any]) -> Iterator[Metric]:
        jobs = {name: queue[name] for name in ("queued", "waiting", "running", "dead")}
        yield _by("jobs", "Jobs by state", "state", jobs)
        oldest = queue["oldest_seconds"] or 0.0
        yield _one("oldest_job_seconds", "Age of the oldest job that waits", oldest)

    def _servers(self) -> Iterator[Metric]:
        up = GaugeMetricFamily(
            f"{_PREFIX}_server_state", "1 for the state it is in", labels=_SERVER_STATE
        )
        latency = GaugeMetricFamily(
            f"{_PREFIX}_server_latency_seconds", "Of the last probe", labels=["server"]
        )
        for name in ("plex", "stash"):
            part = self._status[name]
            for state in _STATES:
                up.add_metric([name, state], int(part["state"] == state))
            if part["latency_ms"] is not None:
                latency.add_metric([name], part["latency_ms"] / 1000)
        yield up
        yield latency
        plex = self._status["plex"]
        breaker = {state: int(plex["breaker"] == state) for state in _BREAKERS}
        yield _by("breaker", "1 for the state of Plex's circuit", "state", breaker)
        listening = int(plex["listening"])
        yield _one("listening", "Whether Plex's socket is open", listening)

    def _reconcile(self, reconcile: Mapping[str, Any]) -> Iterator[Metric]:
        yield _one("reconciling", "Whether it compares", int(reconcile["running"]))
        if (last := reconcile["last"]) is not None:
            ended = _seconds(last["finished_at"])
            took = ended - _seconds(last["started_at"])
            yield _one("reconcile_last_end_seconds", "Unix time of its end", ended)
            yield _one("reconcile_last_duration_seconds", "How long it took", took)
            well = int(last["state"] == "done")
            yield _one("reconcile_last_success", "1 if it was done", well)


def _one(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{_PREFIX}_{name}", text, value=value)


def _by(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    return _filled(
        GaugeMetricFamily(f"{_PREFIX}_{name}", text, labels=[label]), values.items()
    )


def _counter(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    return _filled(
        CounterMetricFamily(f"{_PREFIX}_{name}", text, labels=[label]), values.items()
    )


def _filled(
    family: GaugeMetricFamily | CounterMetricFamily,
    values: Iterable[tuple[str, float]],
) -> Metric:
    for key, value in values:
        family.add_metric([key], value)
    return family


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
