"""What ``GET /api/v1/status`` tells."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from stash2plex import __version__
from stash2plex.catalog.catalog import Catalog
from stash2plex.catalog.gaps import Gaps
from stash2plex.catalog.listener import Listener
from stash2plex.db.last_time import LastTime
from stash2plex.health.breaker import CircuitBreaker
from stash2plex.health.outages import OutageLog
from stash2plex.health.plugin_state import PluginState, unheard
from stash2plex.health.probe import Probe
from stash2plex.moments import iso
from stash2plex.provider.traffic import Traffic
from stash2plex.push.hook_lines import HookLines
from stash2plex.queue.outcome import Result
from stash2plex.queue.store import JobStore
from stash2plex.queue.worker import Worker
from stash2plex.reconcile.reconciler import Reconciler
from stash2plex.reconcile.runs import Runs
from stash2plex.schedule import Schedule
from stash2plex.web.outages import outage_summary


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The parts whose state is shown."""

    started_at: datetime
    jobs: JobStore
    worker: Worker
    catalog: Catalog
    gaps: Gaps
    listener: Listener
    plex: Probe
    plex_breaker: CircuitBreaker
    stash: Probe
    stash_breaker: CircuitBreaker
    plugins: PluginState
    hook_lines: HookLines
    hooked: LastTime
    pictures_breaker: CircuitBreaker
    provider: Traffic
    outages: OutageLog
    reconciler: Reconciler
    runs: Runs
    schedule: Schedule

    async def read(self) -> dict[str, Any]:
        """Return the document; see the HTTP API for its shape."""
        scenes, items = await self.catalog.store.counts()
        results = self.worker.results
        return {
            "version": __version__,
            "started_at": iso(self.started_at),
            "queue": await self.jobs.counts(),
            "deliveries": {
                result.value: results[result]
                for result in (
                    Result.WRITTEN,
                    Result.UNCHANGED,
                    Result.SKIPPED,
                    Result.FAILED,
                )
            },
            "plex": {
                "state": self.plex.state,
                "breaker": self.plex_breaker.state.value,
                "version": self.plex.version,
                "machine": self.catalog.machine,
                "latency_ms": self.plex.latency_ms,
                "libraries": [one.title for one in self.catalog.sections],
                "listening": self.listener.listening,
                "error": _message(self.plex_breaker, self.plex) or self.catalog.error,
            },
            "stash": {
                "state": self.stash.state,
                "version": self.stash.version,
                "latency_ms": self.stash.latency_ms,
                "error": self._stash_error(),
                "hooks": self._hooks(),
            },
            "catalog": {
                "scenes": scenes,
                "items": items,
                "refreshed_at": self.catalog.refreshed_at,
                "brake": self.catalog.brake.reason,
            },
            "reconcile": await self._reconcile(),
            "gaps": await self.gaps.counts(),
            "outages": await outage_summary(self.outages),
            "provider": self.provider.as_json(),
        }

    def _hooks(self) -> dict[str, Any]:
        """Return how changes are told of, and what is wrong with that."""
        ours, faults = self.plugins.ours, self.plugins.faults
        error = self.hook_lines.error
        # A Stash that is away is told as that.
        is_deaf = self.hook_lines.is_deaf and self.stash.state == "up"
        if ours is not None and ours.in_process and error is not None and is_deaf:
            faults.append(unheard(error))
        return {
            "kinds": ours.hooks if ours else None,
            "listening": self.hook_lines.listening,
            "last_at": self.hooked.at,
            "faults": [asdict(one) for one in faults],
        }

    def _stash_error(self) -> str | None:
        """Return what is wrong with Stash, if only with its pictures."""
        pictures = self.pictures_breaker.error
        return _message(self.stash_breaker, self.stash) or (
            str(pictures) if pictures else None
        )

    async def _reconcile(self) -> dict[str, Any]:
        current, next_at = self.reconciler.current, self.schedule.next_at
        ended = [run for run in await self.runs.listed() if run.finished_at is not None]
        history = [run.as_json() for run in ended]
        return {
            "running": current is not None,
            "current": current.as_json() if current else None,
            "last": history[0] if history else None,
            "next_at": iso(next_at) if next_at else None,
            "history": history,
        }


def _message(breaker: CircuitBreaker, probe: Probe) -> str | None:
    return str(breaker.error) if breaker.error else probe.error
