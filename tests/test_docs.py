"""What the documents say is what the code does."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from stash2plex import errors
from stash2plex.config import PathRule, Settings
from stash2plex.config_file import load
from stash2plex.gap_kinds import GapKind
from stash2plex.plugin import PluginNotInstalled
from stash2plex.web.hooks import parse
from stash2plex.web.sync import parse_sync

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "config.example.toml"
DOCS = ROOT / "docs"


def sections(
    model: type[BaseModel] = Settings, prefix: str = ""
) -> dict[str, type[BaseModel]]:
    """Every table of the configuration, by its name."""
    found: dict[str, type[BaseModel]] = {}
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found[prefix + name] = kind
            found |= sections(kind, f"{prefix}{name}.")
    return found


def keys() -> list[tuple[str, Any, str]]:
    """Every key, its default, and its description."""
    found = []
    for section, model in sections().items():
        for name, field in model.model_fields.items():
            default = field.default
            if default is PydanticUndefined:
                continue
            if isinstance(default, SecretStr):
                default = default.get_secret_value()
            if isinstance(default, Path):
                default = str(default)
            if isinstance(default, tuple):
                default = list(default)
            found.append((f"{section}.{name}", default, field.description))
    return found


def blocks(language: str) -> list[tuple[str, str]]:
    pattern = re.compile(rf"```{language}\n(.*?)```", re.DOTALL)
    files = [*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
    return [
        (file.name, found)
        for file in files
        for found in pattern.findall(file.read_text())
    ]


def test_the_example_shows_every_key_with_its_default():
    table = tomllib.loads(EXAMPLE.read_text())
    for key, default, description in keys():
        *section, name = key.split(".")
        found: Any = table
        for part in section:
            found = found[part]
        assert found[name] == default, key
        line = next(
            line
            for line in EXAMPLE.read_text().splitlines()
            if line.startswith(f"{name} =") and description in line
        )
        assert line


def test_the_example_loads():
    assert load(EXAMPLE, {}).server.port == 9898


def test_the_example_has_no_other_keys():
    shown = tomllib.loads(EXAMPLE.read_text())
    known = {key for key, *_ in keys()}

    def walk(table: dict[str, Any], prefix: str) -> None:
        for name, value in table.items():
            if isinstance(value, dict):
                walk(value, f"{prefix}{name}.")
            else:
                assert prefix + name in known

    walk(shown, "")


def test_the_reference_names_every_key_with_its_default():
    text = (DOCS / "configuration.md").read_text()
    for key, default, description in keys():
        shown = json.dumps(default)
        assert f"| `{key}` | `{shown}` | {description} |" in text, key
    for name, field in PathRule.model_fields.items():
        assert f"| `{name}` | {field.description} |" in text, name


def test_every_error_is_documented():
    text = (DOCS / "errors.md").read_text()
    classes = [
        one
        for one in vars(errors).values()
        if isinstance(one, type) and issubclass(one, errors.Stash2PlexError)
    ]
    for one in [*classes, PluginNotInstalled]:
        assert f"| `{one.code}` |" in text, one.code
    for kind in GapKind:
        assert f"`{kind}`" in text


def test_every_route_is_documented():
    text = (DOCS / "http-api.md").read_text()
    source = (ROOT / "stash2plex/web/app.py").read_text()
    routes = re.findall(
        r'(?:web\.(?=get|post)|Operation\(\s*")(\w+)"?[(,] ?"([^"]+)"', source
    )
    assert len(routes) > 20
    for method, path in routes:
        assert f"`{method.upper()} {path}`" in text


def test_every_log_event_is_documented():
    text = (DOCS / "operations.md").read_text()
    for file in (ROOT / "stash2plex").rglob("*.py"):
        for event in re.findall(
            r'log\.(?:info|warning|error|exception)\(\s*"(\w+)"', file.read_text()
        ):
            assert f"`{event}`" in text, f"{file.name}: {event}"


@pytest.mark.parametrize(("file", "block"), blocks("toml"))
def test_every_toml_example_loads(file, block, tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(block)

    assert load(path, {})


def test_every_http_example_is_understood():
    shown = [
        json.loads(block) for file, block in blocks("json") if file == "http-api.md"
    ]

    assert parse(shown[0])
    assert parse_sync(shown[1])
    assert parse_sync(shown[2])
    assert "queue" in shown[3]


def test_every_link_leads_somewhere():
    for file in [*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(r"\]\(([^)#]+)\)", file.read_text()):
            if "://" not in target:
                assert (file.parent / target).exists(), f"{file.name}: {target}"


def test_every_finding_of_the_doctor_is_documented():
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    told = set(re.findall(r"`([a-z]+(?:_[a-z]+)*)`", text))
    found = set()
    for file in (ROOT / "stash2plex" / "doctor").glob("*.py"):
        source = file.read_text()
        found |= set(re.findall(r'Finding\(\s*"(\w+)"', source))
        found |= set(re.findall(r'\bcode(?:, \w+)* = "(\w+)"', source))
    assert len(found) > 20
    assert found <= told
    rows = text.partition("## By symptom")[0]
    in_tables = set(
        re.findall(r"`((?:stash|plex|plugin|provider|path)_[a-z_]+)`", rows)
    )
    assert in_tables <= found
