"""Every request that the documents show is answered as they say."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import pytest

from tests.docs.reading import DOCS, Block, blocks, prose_of
from tests.docs.world import world

# Objects whose keys depend on what was written.
OPEN = {"text", "tags"}


@dataclass(frozen=True, slots=True)
class Example:
    """A request and its answer; bodies are None where there are none."""

    method: str
    route: str
    body: Any
    status: int
    answer: Any


def read(block: Block) -> Example:
    """Read a block: the request, the answer, each with a body or without."""
    shape = re.fullmatch(
        r"(GET|POST) (\S+)\n\n(?:(\{.*?\})\n\n)?HTTP/1\.1 (\d+) [\w ]+\n\n(\{.*\})\n",
        block.text,
        re.DOTALL,
    )
    assert shape, f"{block} is not a request and its answer"
    body = json.loads(shape[3]) if shape[3] else None
    return Example(shape[1], shape[2], body, int(shape[4]), json.loads(shape[5]))


EXAMPLES = [(str(block), read(block)) for block in blocks("http")]


def changes_something(example: Example) -> bool:
    return example.method == "POST" and not (example.body or {}).get("dry_run")


def same_shape(shown: Any, real: Any, where: str = "the answer") -> None:
    """Fail unless *real* has the keys and the kinds of values that are *shown*."""
    if shown is None or real is None:
        return
    if isinstance(shown, dict):
        assert isinstance(real, dict), where
        if where.rpartition(".")[2] not in OPEN:
            assert set(shown) == set(real), where
        for key in shown.keys() & real.keys():
            same_shape(shown[key], real[key], f"{where}.{key}")
    elif isinstance(shown, list):
        assert isinstance(real, list), where
        for one in shown:
            assert real, f"{where} is empty"
            same_shape(one, real[0], f"{where}[]")
    elif isinstance(shown, bool) or isinstance(real, bool):
        assert type(shown) is type(real), where
    elif isinstance(shown, (int, float)):
        assert isinstance(real, (int, float)), where
    else:
        assert isinstance(real, str), where


async def test_every_example_is_answered_as_shown(tmp_path):
    async with world(tmp_path) as daemon:
        # First what only looks: the others change what there is to see.
        for where, one in sorted(EXAMPLES, key=lambda one: changes_something(one[1])):
            url = f"{daemon.url}{one.route}"
            async with daemon.session.request(one.method, url, json=one.body) as answer:
                real = await answer.json()
                assert answer.status == one.status, (where, real)
            same_shape(one.answer, real, where)
            if one.status == 400:
                assert one.answer == real, where
            await daemon.until(
                lambda status: (
                    not status["queue"]["queued"] + status["queue"]["running"]
                    and not status["reconcile"]["running"]
                )
            )


@pytest.mark.parametrize("route", ["status", "gaps", "nonsense"])
async def test_without_the_token_there_is_nothing(tmp_path, route, daemon):
    async with daemon.session.get(
        f"{daemon.url}/api/v1/{route}", headers={"Authorization": "Bearer wrong"}
    ) as answer:
        assert answer.status == 401
        assert (await answer.json())["code"] == "unauthorized"


async def test_every_route_is_in_the_table_and_none_else(daemon):
    async with daemon.session.get(f"{daemon.url}/api/v1/openapi.json") as answer:
        if answer.status == 404:
            pytest.skip("this daemon does not describe itself")
        paths = (await answer.json())["paths"]
    real = {
        f"{method.upper()} {path}" for path, ways in paths.items() for method in ways
    }
    shown = set(
        re.findall(r"`((?:GET|POST) /api/v1/[^`?]+)", prose_of(DOCS / "http-api.md"))
    )
    assert {one.rstrip("/") for one in shown} == real


def test_every_route_with_a_body_has_an_example():
    tried = {f"{one.method} {one.route.partition('?')[0]}" for _, one in EXAMPLES}
    rows = re.findall(
        r"^\| `(POST /api[^`]+)` \|", prose_of(DOCS / "http-api.md"), re.M
    )
    assert rows
    assert set(rows) <= tried
