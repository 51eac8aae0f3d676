"""What the documents say is what the code does."""

from __future__ import annotations

import argparse
import re
import tomllib
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families

from stash2plex.cli import _parser
from stash2plex.config_file import load
from stash2plex.gap_kinds import GapKind
from stash2plex.plugin import PLUGIN_ID, TASKS
from tests.docs import habits, tables
from tests.docs.reading import DOCS, ROOT, anchors_of, prose_of, table_rows
from tests.docs.tables import keys

EXAMPLE = ROOT / "config.example.toml"
OPERATIONS = DOCS / "operations.md"


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


def test_every_route_is_documented():
    text = (DOCS / "http-api.md").read_text()
    source = (ROOT / "stash2plex/web/app.py").read_text()
    routes = re.findall(
        r'(?:web\.(?=get|post)|Operation\(\s*")(\w+)"?[(,]\s*"([^"]+)"', source
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


def test_every_finding_of_the_doctor_is_documented():
    text = (ROOT / "docs" / "troubleshooting.md").read_text()
    told = set(re.findall(r"`([a-z]+(?:_[a-z]+)*)`", text))
    found = set()
    package = ROOT / "stash2plex"
    faults = package / "health" / "plugin_state.py"
    for file in (*(package / "doctor").glob("*.py"), faults):
        source = file.read_text()
        found |= set(re.findall(r'(?:Finding|Fault)\(\s*"(\w+)"', source))
        found |= set(re.findall(r'\bcode(?:, \w+)* = "(\w+)"', source))
    assert len(found) > 20
    assert found <= told
    rows = text.partition("## By symptom")[0]
    in_tables = set(
        re.findall(r"`((?:stash|plex|plugin|provider|path)_[a-z_]+)`", rows)
    )
    assert in_tables <= found


def test_the_table_of_habits_is_made_from_the_pretend_plex():
    assert habits.PAGE.read_text() == habits.page(), "python -m tests.docs.habits"


def test_the_tables_of_settings_are_made_from_the_model():
    assert tables.PAGE.read_text() == tables.page(), "python -m tests.docs.tables"


def test_every_error_is_documented():
    rows = {row[0]: row for row in table_rows(prose_of(DOCS / "errors.md"))}
    codes = {
        code
        for file in (ROOT / "stash2plex").rglob("*.py")
        if file.parent.name != "doctor"  # what it finds has codes of its own
        for code in re.findall(
            r'^    code(?:: ClassVar\[str\])? = "(\w+)"$', file.read_text(), re.M
        )
    }
    assert len(codes) > 20
    for code in codes:
        assert len(rows[f"`{code}`"]) == 4, code


def test_every_kind_of_gap_has_its_heading_and_what_to_do():
    assert {kind.value for kind in GapKind} <= anchors_of(DOCS / "errors.md")
    text = (DOCS / "commands.md").read_text()
    for kind in GapKind:
        assert f"`{kind}`" in text


def commands(parser=None, name="") -> dict[str, argparse.ArgumentParser]:
    """Every command, by its whole name."""
    found = {}
    for action in (parser or _parser())._actions:
        if isinstance(action, argparse._SubParsersAction):
            for word, one in action.choices.items():
                found |= commands(one, f"{name} {word}".strip())
    return found or {name: parser}


def test_every_command_and_option_is_documented():
    text = (DOCS / "commands.md").read_text()
    sections = {
        heading.partition("\n")[0].strip(" `"): heading
        for heading in re.split(r"^### ", text, flags=re.M)
    }
    real = commands()
    assert len(real) > 15
    assert set(sections) >= {name.split()[0] for name in real}
    for name, parser in real.items():
        section = sections[name.split()[0]]
        assert f"`{name}" in section or f"stash2plex {name}" in section, name
        for action in parser._actions:
            if isinstance(action, argparse._HelpAction):
                continue
            if action.help == argparse.SUPPRESS:  # stands before the command
                continue
            option = action.option_strings[-1] if action.option_strings else None
            metavar = str(action.metavar or action.dest)
            words = [option] if option else metavar.split(" | ")
            for word in [*words, *map(str, action.choices or ())]:
                if word != "action":
                    assert f"`{word}" in section or f" {word}`" in section, (name, word)


def test_every_option_that_is_documented_exists():
    text = (DOCS / "commands.md").read_text()
    real = {
        option
        for parser in [_parser(), *commands().values()]
        for action in parser._actions
        for option in action.option_strings
    }
    told = set(re.findall(r"^\| `(--[\w-]+)", text, re.M))
    assert told
    assert told <= real


async def test_every_metric_is_documented(daemon):
    rows = {row[0].strip("`"): row for row in table_rows(prose_of(OPERATIONS))}
    await daemon.cataloged()
    await daemon.post("reconcile", {})
    await daemon.until(lambda status: status["reconcile"]["last"])
    async with daemon.session.get(f"{daemon.url}/metrics") as answer:
        families = list(text_string_to_metric_families(await answer.text()))
    real = {
        f"{one.name}_total" if one.type == "counter" else one.name: one
        for one in families
        if not one.name.endswith("_created")
    }
    assert len(real) > 18
    for name, family in real.items():
        labels = {label for sample in family.samples for label in sample.labels}
        told = set(re.findall(r"`(\w+)`", rows[name][1]))
        # A histogram that has seen nothing shows no labels yet.
        assert labels - {"le"} == told or not family.samples, name
    told = {name for name in rows if name.startswith("stash2plex_")}
    assert told == set(real)


def test_every_task_is_documented_with_its_command():
    manifest = yaml.safe_load((TASKS.folder / f"{PLUGIN_ID}.yml").read_text())
    rows = {row[0]: row for row in table_rows(prose_of(DOCS / "stash.md"))}
    for task in manifest["tasks"]:
        name, _, command = rows[task["name"]]
        assert command.startswith("`stash2plex "), name
    for setting in manifest["settings"].values():
        assert f"**{setting['displayName']}**" in rows


def test_what_init_takes_over_is_told_option_by_option():
    from stash2plex.older_plugin import _KEYS

    text = (DOCS / "migration.md").read_text()
    rows = [row for row in table_rows(text) if row[-1].startswith("taken")]
    told = {name for row in rows for name in re.findall(r"`(\w+)`", row[0])}
    assert told == {*_KEYS, "plex_unmatched_path_map"}
    for theirs, (ours, _) in _KEYS.items():
        (row,) = [row for row in rows if f"`{theirs}`" in row[0]]
        section, _, name = ours.rpartition(".")
        assert f"`{ours}" in row[1] or (section in row[1] and f".{name}`" in row[1])


def test_settings_that_are_spoken_of_exist():
    known = {key for key, *_ in keys()}
    tops = {key.partition(".")[0] for key in known}
    for page in DOCS.rglob("*.md"):
        if page.name in {"reference.md", "architecture.md", "README.md"}:
            continue
        for found in re.findall(
            r"`([a-z]+(?:\.[a-z_]+)+)(?: = [^`]*)?`", prose_of(page)
        ):
            if found.partition(".")[0] in tops and not found.endswith((".md", ".py")):
                sections = {key.rpartition(".")[0] for key in known}
                assert found in known | sections, f"{page.name}: {found}"
