"""Who may import whom, and which library stays behind which door."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "stash2plex"
LAYERS = [
    {"errors", "scene", "gap_kinds", "hosts", "rule_cost"},
    {
        "text",
        "paths",
        "words",
        "body",
        "moments",
        "net",
        "pause",
        "cron",
        "plainly",
        "secret_file",
        "visible",
        "zones",
    },
    {"config", "movie"},
    {
        "api_token",
        "config_file",
        "data_dir",
        "data_files",
        "link",
        "gates",
        "pictures",
        "logs",
        "measures",
        "plugin",
        "schedule",
        "supervision",
        "systemd",
        "threads",
        "translation",
    },
    {"db", "stash", "plex", "config_writer"},
    {"catalog", "health"},
    {"queue"},
    {"push", "provider"},
    {"reconcile"},
    {"explain", "path_report"},
    {"older_plugin", "plugin_source"},
    {"doctor"},
    {"support"},
    {"web"},
    {"daemon"},
    {"sandbox"},
    {"reload"},
    {"commands"},
    {"cli"},
    {"__main__"},
]
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}
FENCES = {
    "plexapi": {"plex"},
    "requests": set(),
    "gql": {"stash"},
    "aiosqlite": {"db"},
    "apscheduler": {"schedule"},
    "prometheus_client": {"web", "measures"},
    "PIL": {"pictures", "sandbox"},
    "graphql": {"sandbox"},
    "rich": {"commands", "sandbox"},
}
FILES = sorted(ROOT.rglob("*.py"))


def room_of(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "stash2plex":
                yield from (f"stash2plex.{one.name}" for one in node.names)
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (one.name for one in node.names)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_downwards(file):
    own = room_of(file)
    if own == "__init__":
        return
    for module in imports(file):
        package, _, rest = module.partition(".")
        other = rest.split(".")[0]
        if package == "stash2plex" and other in RANK and other != own:
            assert RANK[other] < RANK[own], f"{own} imports {other}"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_foreign_libraries_stay_behind_their_fence(file):
    for module in imports(file):
        allowed = FENCES.get(module.partition(".")[0])
        assert allowed is None or room_of(file) in allowed, f"imports {module}"


def test_every_room_has_its_place():
    assert {room_of(file) for file in FILES} - {"__init__"} == set(RANK)
