"""What the daemon's answers say, in lines for people."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from stash2plex.commands.asking import Lines
from stash2plex.gap_kinds import REPAIRABLE


def status_lines(document: dict[str, Any]) -> list[str]:
    queue, done = document["queue"], document["deliveries"]
    plex, stash, catalog = document["plex"], document["stash"], document["catalog"]
    provider = document["provider"]
    gaps = {kind: count for kind, count in document["gaps"].items() if count}
    counts = ", ".join(f"{count} {kind}" for kind, count in gaps.items()) or "none"
    rows = {
        "stash2plex": f"{document['version']}, up since {document['started_at']}",
        "Plex": f"{plex['state']}, circuit {plex['breaker']},"
        f" version {plex['version'] or 'unknown'},"
        f" libraries: {', '.join(plex['libraries']) or 'not read yet'}",
        "Stash": f"{stash['state']}, version {stash['version'] or 'unknown'}",
        "Hooks": _hooks(stash["hooks"]),
        "Queue": f"{queue['queued']} due, {queue['waiting']} waiting,"
        f" {queue['running']} running, {queue['dead']} dead",
        "Delivered": f"{done['written']} written, {done['unchanged']} unchanged,"
        f" {done['skipped']} skipped, {done['failed']} failed",
        "Catalogue": f"{catalog['scenes']} scenes, {catalog['items']} items,"
        f" read {catalog['refreshed_at'] or 'not yet'}",
        "Compared": _compared(document["reconcile"]),
        "Gaps": counts,
        "Outages": _outages(document["outages"]),
        "Provider": f"{provider['matched']} matched, {provider['unmatched']} not,"
        f" {provider['failed']} failed; Plex last asked:"
        f" {provider['last_request_at'] or 'never'}",
    }
    lines = [f"{name:10} {text}" for name, text in rows.items()]
    if braked := catalog.get("brake"):
        lines.append(f"Stopped    {braked}")
    for name, part in (("Plex", plex), ("Stash", stash)):
        if part.get("error"):
            lines.append(f"{name} says: {part['error']}")
    faults = stash["hooks"]["faults"]
    return lines + [f"Hooks: {one['message']} -> {one['fix']}" for one in faults]


def _hooks(hooks: dict[str, Any]) -> str:
    if hooks["kinds"] is None:
        return "not looked for yet"
    said = " and ".join(hooks["kinds"]) or "none"
    if "in-process" in hooks["kinds"]:
        said += f", {'heard' if hooks['listening'] else 'not heard now'}"
    return f"{said}; last change told of: {hooks['last_at'] or 'never'}"


def _outages(outages: dict[str, Any]) -> str:
    said = f"{outages['count']}, {outages['availability']:.2%} available"
    if current := outages["current"]:
        said += f"; {current['service']} is away since {current['started_at']}"
    return said


def _compared(reconcile: dict[str, Any]) -> str:
    last, next_at = reconcile["last"], reconcile["next_at"]
    said = "not yet"
    if last:
        said = f"{last['finished_at']} ({last['scope']}, {last['state']})"
        if last["error"]:
            said += f": {last['error']}"
    if reconcile["running"]:
        said += ", at it now"
    return f"{said}; next {next_at or 'when asked to'}"


def dead_lines(document: dict[str, Any]) -> Iterable[str]:
    """Say which dead letters there are."""
    yield counted(document["total"], "dead letter") + _part(document, "dead")
    for one in document["dead"]:
        yield (
            f"{one['kind']} {one['id']}: {one['code']},"
            f" {counted(one['attempts'], 'attempt')},"
            f" last {one['failed_at']}: {one['error']}"
        )


def queue_lines(document: dict[str, Any]) -> Iterable[str]:
    """Say what runs, is queued or waits."""
    yield counted(document["total"], "job") + _part(document, "jobs")
    for one in document["jobs"]:
        why = f"; {one['code']}: {one['error']}" if one["code"] else ""
        yield (
            f"{one['kind']} {one['id']}: {one['state']}, due {one['due_at']}"
            f" ({one['reason']}){why}"
        )


def gap_lines(document: dict[str, Any]) -> Iterable[str]:
    """Say what is not in step, and why."""
    yield counted(document["total"], "gap") + _part(document, "gaps")
    for one in document["gaps"]:
        whose = (
            f"scene {one['scene']}"
            if one["scene"]
            else f"item {one['item']}"
            if one["item"]
            else "file"
        )
        yield f"{one['kind']}: {whose} {one['path']}: {one['detail']}"


def outage_lines(document: dict[str, Any]) -> Iterable[str]:
    """Say when the servers were away."""
    mttr, mtbf = document["mttr_seconds"], document["mtbf_seconds"]
    yield (
        f"Plex: {counted(document['count'], 'outage')},"
        f" {document['availability']:.3%} available,"
        f" mean time to repair {_time(mttr)}, between failures {_time(mtbf)}"
    )
    for one in document["outages"]:
        end = f"to {one['ended_at']}" if one["ended_at"] else "goes on"
        verb = "waited" if one["ended_at"] else "wait now"
        yield (
            f"{one['service']}: {one['started_at']} {end}, {_time(one['seconds'])},"
            f" {counted(one['jobs'], 'job')} {verb}: {one['cause']}"
        )


def _part(document: dict[str, Any], name: str) -> str:
    shown = len(document[name])
    if shown == document["total"]:
        return ""
    return f", {shown:,} of them here; --limit and --offset show others"


def counted(number: int, thing: str) -> str:
    """Return how many there are of a thing, in the singular for one."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def count_line(name: str, thing: str, what: str) -> Lines:
    """Return a sentence about a number of an answer: what became of how many."""
    return lambda document: [f"{counted(document[name], thing)} {what}."]


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "unknown"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def run_lines(run: dict[str, Any], *, mends: bool = True) -> Iterable[str]:
    """Tell of a run; *mends* says whether anything may be written to Plex."""
    if run["error"]:
        yield f"Run {run['run']} {run['state']}: {run['error']}"
        if run["state"] != "done":
            return
    scenes, items = counted(run["scenes"], "scene"), counted(run["items"], "item")
    yield f"{scenes} and {items} compared ({run['scope']})."
    for kind, count in run["gaps"].items():
        mended = " (a delivery mends it)" if count and kind in REPAIRABLE else ""
        yield f"  {kind:18}{count:>8,}{mended}"
    mendable = sum(run["gaps"].get(kind, 0) for kind in REPAIRABLE)
    count = run["enqueued"] + run["would_enqueue"]
    if not run.get("only_empty") and mendable > count:
        left = mendable - count
        why = "given up before: see stash2plex dead"
        if not mends:
            why = "since sync.enabled is false"
        yield f"{left:,} not enqueued, {why}"
    would = "would be enqueued" if run["dry_run"] else "enqueued"
    yield f"{count:,} {would}."


def difference_lines_of(one: dict[str, Any]) -> Iterable[str]:
    """Say what would change about one item, or why nothing does about a scene."""
    if one["item"] is None:
        yield f"scene {one['scene']}: not delivered: {one['reason']}"
        return
    yield f"scene {one['scene']}, item {one['item']}:"
    if one["reason"]:
        yield f"  {one['reason']}"
    for change in one["changes"]:
        before, after = shown_value(change["before"]), shown_value(change["after"])
        yield f"  {change['field']}: {before} -> {after}"
    for name in one["respected"]:
        yield f"  {name}: locked by somebody else, left alone"


def difference_lines(document: dict[str, Any]) -> Iterable[str]:
    """Say what a sync would change."""
    for one in document["differences"]:
        yield from difference_lines_of(one)
    yield difference_summary(document)


def difference_summary(document: dict[str, Any]) -> str:
    """Say how much a sync would change."""
    more = "" if document["complete"] else "; there are more"
    changed = sum(bool(one["changes"]) for one in document["differences"])
    looked = counted(document["scenes"], "scene")
    return f"{looked} looked at, {counted(changed, 'item')} would change{more}."


def shown_value(value: str | list[str]) -> str:
    """Return what a field shows, or would show."""
    if isinstance(value, list):
        return "[" + ", ".join(value) + "]"
    return repr(value) if value else "nothing"
