"""What an explanation says, in lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from stash2plex.commands.lines import difference_lines_of


def explain_lines(document: dict[str, Any]) -> Iterator[str]:
    """Say why a scene, an item or a path is, or is not, in step."""
    verdict = document["verdict"]
    yield f"{document['query']}: {verdict['state']}: {verdict['message']}"
    if document["paths"]:
        ways = (("Stash", "Plex", "as_stash_path"), ("Plex", "Stash", "as_plex_path"))
        for ours, theirs, name in ways:
            file = document["paths"][name]
            yield f"  as a path of {ours}, in {theirs}: {_mapping(file)}"
    for scene in document["scenes"]:
        yield from _scene_lines(scene)
    for item in document["items"]:
        yield from _item_lines(item)


def _scene_lines(scene: dict[str, Any]) -> Iterator[str]:
    title = f" {scene['title']!r}" if scene["title"] else ""
    updated = f", updated {scene['updated_at']}" if scene["updated_at"] else ""
    yield f"Scene {scene['scene']}{title}{updated}: {_verdict(scene)}"
    for file in scene["files"]:
        held = _numbers("item", file["items"]) or "no item by that path"
        yield f"  file {file['path']}{_size(file['size'])}"
        yield f"    in Plex: {_mapping(file)}: {held}"
    if scene["exists"]:
        yield f"  gate: {scene['gate'] or 'takes part'}"
    yield from _candidate_lines(scene)
    for name, what in (("job", "queue"), ("dead", "dead letter")):
        yield f"  {what}: {_job(scene[name])}"
    for gap in scene["gaps"]:
        yield f"  gap: {gap['kind']} since {gap['first_seen']}: {gap['detail']}"
    yield from _delivery_lines(scene["deliveries"])
    if scene["differences"] is None:
        yield "  would change now: unknown"
    elif not scene["differences"]:
        yield "  would change now: nothing"
    for one in scene["differences"] or []:
        yield from (f"  {line}" for line in difference_lines_of(one))
    yield from (f"  note: {note}" for note in scene["notes"])


def _candidate_lines(scene: dict[str, Any]) -> Iterator[str]:
    match = scene["match"]
    if match["error"]:
        yield f"  match: none: {match['error']}"
    elif match["items"]:
        items = _numbers("item", match["items"])
        yield f"  match: {items} by {match['how']}, confidence {match['confidence']}"
    for one in scene["candidates"]:
        lost = f"not chosen: {one['reason']}"
        yield (
            f"    item {one['item']} by {one['how']} ({one['score']}),"
            f" {'chosen' if one['chosen'] else lost}: {one['file']}{_size(one['size'])}"
        )


def _delivery_lines(deliveries: Iterable[dict[str, Any]]) -> Iterator[str]:
    none = True
    for one in deliveries:
        none = False
        fields = ", ".join([*one["text"], *one["tags"], *one["pictures"]])
        locked = f", locked: {', '.join(one['locked'])}" if one["locked"] else ""
        yield (
            f"  delivered: item {one['item']} at {one['delivered_at']}"
            f" (confidence {one['confidence']}): {fields or 'nothing'}{locked}"
        )
    if none:
        yield "  delivered: never"


def _item_lines(item: dict[str, Any]) -> Iterator[str]:
    where = f" in {item['section']!r}" if item["section"] else ""
    bound = f", bound by Plex to scene {item['bound']}" if item["bound"] else ""
    yield f"Item {item['item']}{where}{bound}"
    for file in item["files"]:
        held = _numbers("scene", file["scenes"]) or "no scene by that path"
        yield f"  file {file['path']}{_size(file['size'])}"
        yield f"    in Stash: {_mapping(file)}: {held}"
    for gap in item["gaps"]:
        yield f"  gap: {gap['kind']} since {gap['first_seen']}: {gap['detail']}"


def _verdict(scene: dict[str, Any]) -> str:
    return f"{scene['verdict']['state']}: {scene['verdict']['message']}"


def _mapping(file: dict[str, Any]) -> str:
    if file["mapped"] is None:
        return f"not mapped ({file['reason']})"
    rule = f"rule {file['rule']}" if file["rule"] else "no rules: same path"
    return f"{file['mapped']} ({rule})"


def _job(job: dict[str, Any] | None) -> str:
    if job is None:
        return "none"
    why = f": {job['code']}: {job['error']}" if job["code"] else ""
    return (
        f"{job['state']} ({job['reason']}), due {job['due_at']},"
        f" {job['attempts']} attempts, {job['lookups']} look-ups{why}"
    )


def _numbers(thing: str, numbers: list[int]) -> str:
    return f"{thing} {', '.join(map(str, numbers))}" if numbers else ""


def _size(size: int | None) -> str:
    return f", {size:,} bytes" if size else ""
