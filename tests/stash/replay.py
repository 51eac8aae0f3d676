"""Sending recorded questions to the pretend Stash, and comparing what it says.

The records are answers of a real Stash: 64 scanned scenes that nobody had described,
then changes to some of them, then a login.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from stash2plex.sandbox.stash import PretendStash
from stash2plex.sandbox.stash_web import COOKIE

RECORDED = Path(__file__).parent / "recorded"
KEY = "recorded-key"
_HEADERS = (
    "allow cache-control content-type etag location www-authenticate content-range"
).split()
_JPEG = b"\xff\xd8\xff\xe0"
_PNG = b"\x89PNG\r\n\x1a\n"
_ELSEWHERE = "/media/Übung/deep/Clip 11 - Actor 4 (2021-03-12).mp4"
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)")
_HOST = re.compile(r"https?://[^/\s\"]+:\d+")
_STAMP = re.compile(r"([?&]t=)\d{6,}")


def records(name: str) -> list[dict[str, Any]]:
    """Return the lines of one file of records."""
    return [json.loads(one) for one in (RECORDED / name).read_text().split("\n") if one]


def fresh() -> PretendStash:
    """Return a pretend Stash as the real one was after its scan."""
    stash = PretendStash(release="v0.30.1")
    stash.version = "v0.30.1-57"
    stash.demands_order = False
    stash.clock = lambda: datetime(2026, 11, 27, 23, 40, 35, tzinfo=UTC)
    known = _known_files()
    for number in range(1, 65):
        path, size, duration = known.get(number) or (_made_up(number), 1000, 2.0)
        scene = stash.add(path, size=size, duration=duration)
        scene.cover = _JPEG + bytes([number])
        if number == 1:
            scene.oshash = "1418e11631f80d31"
            stash.clock = lambda: datetime(2026, 11, 27, 23, 40, 36, tzinfo=UTC)
    return stash


def _made_up(number: int) -> str:
    folder = "studioA" if number < 40 else "studioB" if number < 60 else "other"
    return f"/media/{folder}/Clip 7 - {number}.mp4"


def _known_files() -> dict[int, tuple[str, int, float]]:
    """Return the first files of scenes, as far as the records tell of them."""
    known = {60: (_ELSEWHERE, 1000, 2.0)}
    for record in records("answers-snapshot.jsonl"):
        for one in _scenes_in(record["body"]):
            files = [f for f in one["files"] or [] if {"path", "size"} <= f.keys()]
            numbers = [int(one["id"])]
            if numbers == [21] and len(files) > 1:  # it was made of two
                numbers = [21, 20]
            for number, file in zip(numbers, files, strict=False):
                known[number] = (file["path"], file["size"], file["duration"])
    return known


def _scenes_in(body: Any) -> Iterator[dict[str, Any]]:
    if isinstance(body, dict):
        if "files" in body and isinstance(body.get("id"), str):
            yield body
        for one in body.values():
            yield from _scenes_in(one)
    elif isinstance(body, list):
        for one in body:
            yield from _scenes_in(one)


def describe(stash: PretendStash) -> None:
    """Change scenes as the records do from the first change on."""
    for name in ("Beach", "apple", "Zoo", "Tag 10", "Tag 9", "Étoile"):
        stash.entity("tag", name)
    stash.entity("studio", "North")
    stash.entity("studio", "North Two")
    stash.parents[2] = 1
    for number, name in enumerate(("Zed", "Ann", "Ann", "Custom"), 1):
        stash.rename("performer", number, name)
    for number, name in enumerate(("Saga", "Epic", "Epic"), 1):
        stash.rename("group", number, name)
    stash.change(
        1,
        title="One",
        code="C-1",
        details="line one\nline two",
        director="Dir",
        date="2021-02-03",
        rating100=73,
        organized=True,
        studio=2,
        tags=[3, 2, 1, 5, 4, 6],
        performers=[1, 2, 3],
        groups=[1, 2],
        stash_ids=["f0000000-0000-4000-8000-000000000001"],
    )
    stash.change(5, rating100=100)
    stash.change(7, tags=[1])
    stash.change(8, cover=_PNG)
    stash.portraits["performer", 1] = _PNG
    stash.portraits["studio", 1] = _PNG
    stash.portraits["group", 1] = _PNG
    stash.change(12, title="twelve")
    stash.change(13, title="thirteen")
    stash.change(14, organized=True, tags=[2], performers=[1])
    stash.change(15, organized=True, tags=[2, 1], performers=[1])
    for record in records("answers-snapshot.jsonl"):
        if record["name"] in {"update-scene-odd-texts", "update-scene-long-title"}:
            given = dict(record["request"]["body"]["variables"]["i"])
            stash.change(int(given.pop("id")), **given)
    stash.merge_scenes(20, 21)
    stash.remove(22)
    stash.add(None, scene_id=65, title="No file", tags=[1])


async def said(
    session: aiohttp.ClientSession, stash: PretendStash, record: dict[str, Any]
) -> dict[str, Any]:
    """Send the question of *record* and return the answer, comparable."""
    request = record["request"]
    etag = await _etag(session, stash) if "{etag}" in json.dumps(request) else ""

    def filled(text: str) -> str:
        text = text.replace("{etag}", etag).replace("{key}", KEY)
        return text.replace("{session}", COOKIE)

    headers = {k: filled(v) for k, v in (request.get("headers") or {}).items()}
    given = request.get("body")
    body = given if isinstance(given, str | None) else json.dumps(given)
    async with session.request(
        request["method"],
        f"{stash.url}{filled(request['path'])}",
        data=body.encode() if body is not None else None,
        headers=headers,
        skip_auto_headers=("Content-Type", "Accept", "Accept-Encoding"),
        allow_redirects=False,
        timeout=aiohttp.ClientTimeout(total=20),
    ) as answer:
        data = await answer.read()
        got = {k.lower(): v for k, v in answer.headers.items()}
        return comparable(answer.status, got, data)


async def _etag(session: aiohttp.ClientSession, stash: PretendStash) -> str:
    headers = {"ApiKey": KEY} if stash.api_key else {}
    async with session.get(
        f"{stash.url}/scene/1/screenshot", headers=headers
    ) as answer:
        return answer.headers["ETag"]


def recorded(record: dict[str, Any]) -> dict[str, Any]:
    """Return the recorded answer, comparable."""
    body = record["body"]
    data = body if isinstance(body, str) else json.dumps(body)
    return comparable(record["status"], record["headers"], data.encode())


def comparable(status: int, headers: dict[str, str], data: bytes) -> dict[str, Any]:
    """Reduce an answer to what must be the same; times, hosts and bytes may differ."""
    shown = {name: headers[name] for name in _HEADERS if name in headers}
    kind = shown.get("content-type", "").partition(";")[0]
    if "etag" in shown:
        shown["etag"] = "…"
    if "content-range" in shown:
        shown["content-range"] = "…"
    answer: dict[str, Any] = {"status": status, **shown}
    if kind:
        answer["content-type"] = kind
    if "json" in kind or (kind == "text/plain" and data[:1] == b"{"):
        answer["body"] = _plain(json.loads(data))
    elif kind == "text/plain" and status < 300:
        answer["body"] = data.decode()
    return answer


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        if (code := (value.get("extensions") or {}).get("code")) and "message" in value:
            kept = {"code": code, "path": value.get("path")}
            return kept | ({"message": value["message"]} if value.get("path") else {})
        return {key: _plain(one) for key, one in sorted(value.items())}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, str):
        text = _STAMP.sub(r"\1…", _HOST.sub("http://host", _TIME.sub("…time…", value)))
        for kind in ("error querying aggregate fields", "json request body could not"):
            if text.startswith(kind):  # the SQL and the body themselves are of no use
                return (
                    f"{kind} … {text.rpartition(': ')[2] if 'SELECT' in text else ''}"
                )
        return text
    return value
