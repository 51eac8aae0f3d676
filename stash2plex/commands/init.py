"""``stash2plex init``: a ``config.toml`` that works, from as little as possible.

Both servers are tried before anything is written. What is missing is asked for on a
terminal; elsewhere it is an error that names the option.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from getpass import getpass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError
from rich.prompt import Confirm, Prompt

from stash2plex import config_writer, path_report
from stash2plex.commands.shared import WELL, named_file
from stash2plex.commands.terminal import Terminal, waiting
from stash2plex.config import ENV_PREFIX, PlexSettings, Settings, StashSettings
from stash2plex.config_file import (
    DEFAULT_FILE,
    from_environment,
    load,
)
from stash2plex.errors import (
    AccessDenied,
    ConfigError,
    ServiceUnavailable,
    Stash2PlexError,
)
from stash2plex.older_plugin import OLDER_PLUGIN, Imported, import_settings
from stash2plex.plainly import plainly
from stash2plex.plex.connection import PlexConnection
from stash2plex.plex.item import Section
from stash2plex.plex.library import PlexLibrary
from stash2plex.provider.setup import root_url
from stash2plex.stash.client import StashClient
from stash2plex.stash.plugins import StashPlugins

T = TypeVar("T")
S = TypeVar("S", StashSettings, PlexSettings)

_CLIENT = "stash2plex-init"


def init(options: argparse.Namespace) -> int:
    """Write a configuration file, after trying both servers."""
    file = named_file(options) or Path(DEFAULT_FILE)
    if file.exists() and not options.force:
        raise ConfigError(
            f"{file}: is there already; --force writes another, and keeps the old one"
            f" as {file.name}.old"
        )
    config_writer.demand_room(file)
    _Dialogue(file, options, from_environment(os.environ)).run()
    return WELL


class _Dialogue:
    """The questions, their answers, and what is made of them."""

    def __init__(
        self, file: Path, options: argparse.Namespace, environment: Mapping[str, Any]
    ) -> None:
        self._file = file
        self._options = options
        self._environment = environment
        self._asks = sys.stdin.isatty() and sys.stdout.isatty()
        self._console = Terminal(markup=False)
        self._tables: dict[str, dict[str, Any]] = {"stash": {}, "plex": {}}
        self._imported = import_settings({})
        self._typed: dict[tuple[str, str], str] = {}

    def run(self) -> None:
        """Ask, try, write, and say what to do next."""
        stash = self._until_it_works(self._try_stash)
        self._import_from(stash)
        plex, sections = self._until_it_works(self._try_plex)
        chosen = self._libraries(sections)
        rules = self._rules(stash, plex, [one.title for one in chosen])
        self._write(rules)

    # --- the servers ------------------------------------------------------------

    def _until_it_works(self, attempt: Callable[[bool], T]) -> T:
        """Try a server; on a terminal ask again until it answers."""
        again = False
        while True:
            try:
                return attempt(again)
            except Stash2PlexError as error:
                if not self._asks:
                    raise
                self._say(str(error))
                again = True

    def _try_stash(self, again: bool) -> StashSettings:
        default = str(StashSettings().url)
        url = self._value("stash", "url", "Stash's URL", default=default, again=again)
        key = self._value("stash", "api_key", "", default="")

        def attempt(key: str) -> tuple[StashSettings, str]:
            settings = self._checked(StashSettings, url=url, api_key=key)
            return settings, self._tried(_stash_version(settings), "--stash-url", url)

        question = "Stash's API key (Settings > Security)"
        key, (settings, version) = self._admitted(key, question, attempt)
        self._tables["stash"]["url"] = url
        if key:
            self._tables["stash"]["api_key"] = key
        self._say(f"Stash {version} answers at {url}.")
        return settings

    def _try_plex(self, again: bool) -> tuple[PlexSettings, list[Section]]:
        default = str(PlexSettings().url)
        url = self._value("plex", "url", "Plex's URL", default=default, again=again)
        token = self._value("plex", "token", "", default="")
        question = "Plex's token (X-Plex-Token of its owner)"
        token = token or self._ask_secret(question)
        if not token:
            told = "plex.token is missing"
            if not self._asks:
                told += (
                    ": give --plex-token, or STASH2PLEX_PLEX__TOKEN in the environment"
                )
            raise ConfigError(told)

        def attempt(token: str) -> tuple[PlexSettings, tuple[str, list[Section]]]:
            settings = self._checked(PlexSettings, url=url, token=token)
            return settings, self._tried(_plex_sections(settings), "--plex-url", url)

        token, (settings, found) = self._admitted(token, question, attempt)
        version, sections = found
        self._tables["plex"]["url"] = url
        self._tables["plex"]["token"] = token
        titles = ", ".join(repr(one.title) for one in sections) or "none"
        self._say(f"Plex {version} answers at {url}; movie libraries: {titles}.")
        return settings, sections

    def _admitted(
        self, secret: str, question: str, attempt: Callable[[str], T]
    ) -> tuple[str, T]:
        """Try with a secret; on a terminal ask for another while it is refused.

        Returns the one that was taken, and what came of it.
        """
        while True:
            try:
                return secret, attempt(secret)
            except AccessDenied as error:
                if not self._asks:
                    raise
                if secret:
                    self._say(str(error))
                if not (secret := self._ask_secret(question)):
                    raise

    def _import_from(self, stash: StashSettings) -> None:
        """Take what the older plugin was told in Stash, if it is there."""
        with suppress(Stash2PlexError):
            self._imported = asyncio.run(_imported(stash))
        if not self._imported.taken:
            return
        self._say(f"From the settings of the plugin {OLDER_PLUGIN} in Stash:")
        for given, key in self._imported.taken:
            if before := self._told_here(key):
                self._say(f"  {given}: left out, {before} goes before it")
            elif key == "path_rules":
                self._say(f"  {given} -> {key}, unless the files tell of better ones")
            else:
                self._say(f"  {given} -> {key}")
        for given, why in self._imported.left:
            self._say(f"  {given}: {why}, left out")
        for name, table in self._imported.tables.items():
            own = self._tables.setdefault(name, {})
            for key, one in table.items():
                own.setdefault(key, one)

    def _told_here(self, key: str) -> str | None:
        """Return where else a setting was given: by an option, or the environment."""
        option = "library" if key == "plex.libraries" else key.replace(".", "_")
        if getattr(self._options, option, None):
            return f"--{option.replace('_', '-')}"
        table: Any = self._environment
        for name in key.split("."):
            if not isinstance(table, Mapping) or name not in table:
                return None
            table = table[name]
        return f"{ENV_PREFIX}{key.replace('.', '__').upper()}"

    # --- libraries and paths ----------------------------------------------------

    def _libraries(self, sections: list[Section]) -> list[Section]:
        """Return the libraries to keep; none are written down for all of them."""
        titles = [one.title for one in sections]
        wanted = self._options.library or self._tables["plex"].get("libraries") or []
        unknown = [one for one in wanted if one not in titles]
        if unknown and self._options.library:
            have = ", ".join(map(repr, titles)) or "none"
            raise ConfigError(
                f"--library {unknown[0]!r}: Plex has no movie library of that title; it"
                f" has {have}"
            )
        for one in unknown:
            self._say(f"Plex has no movie library {one!r}; it is left out.")
        wanted = [one for one in wanted if one in titles]
        if not wanted and self._asks and len(titles) > 1:
            wanted = self._ask_libraries(titles)
        self._tables["plex"].pop("libraries", None)
        if wanted and set(wanted) != set(titles):
            self._tables["plex"]["libraries"] = wanted
        return [one for one in sections if not wanted or one.title in wanted]

    def _ask_libraries(self, titles: list[str]) -> list[str]:
        for number, title in enumerate(titles, 1):
            self._say(f"  {number}  {title}")
        while True:
            said = Prompt.ask(
                "Which libraries? Numbers or titles with commas, or Enter for all",
                default="",
                console=self._console,
            )
            if said.strip() in titles:  # with a comma in it
                return [said.strip()]
            picked = [one.strip() for one in said.split(",") if one.strip()]
            if all(one in titles for one in picked):
                return picked
            picked = said.replace(",", " ").split()
            if all(one.isdecimal() and 0 < int(one) <= len(titles) for one in picked):
                return [titles[int(one) - 1] for one in picked]

    def _rules(
        self, stash: StashSettings, plex: PlexSettings, titles: list[str]
    ) -> str:
        """Return the path rules to write, as TOML."""
        plex = plex.model_copy(update={"libraries": tuple(titles)})
        settings = Settings(stash=stash, plex=plex)
        with waiting("comparing the files of both libraries"):
            files = asyncio.run(path_report.read_files(settings))
        found = path_report.propose(*files)
        if not found.twins:
            self._say(
                "No file has the same name and size on both sides yet, so no path rules"
                " can be proposed; scan both, then: stash2plex paths suggest"
            )
            return path_report.rules_as_toml(self._imported.rules)
        self._say(f"Paths: {found.told}.")
        if not found.rules:
            self._say("Both sides see the same paths: no path rules are needed.")
            return ""
        self._say(found.toml)
        if self._asks and not Confirm.ask(
            "Use these path rules?", default=True, console=self._console
        ):
            return ""
        return found.toml

    # --- the end ------------------------------------------------------------------

    def _write(self, rules: str) -> None:
        server = {"token": secrets.token_urlsafe(32)}
        if self._options.data_dir:
            server["data_dir"] = self._options.data_dir
        provider = {"secret": secrets.token_urlsafe(24)}
        tables = {"server": server, **self._tables, "provider": provider}
        # What the environment says stays there, and goes before the file.
        written = _without(tables, self._environment)
        kept = config_writer.write(self._file, config_writer.as_toml(written, rules))
        root = root_url(load(self._file, os.environ))
        made = [
            told
            for told, of, key in (
                ("a token", "server", "token"),
                ("a secret", "provider", "secret"),
            )
            if key in written[of]
        ]
        own = f", with {' and '.join(made)} of its own" if made else ""
        self._say(f"Written: {self._file}{own}.")
        if kept is not None:
            self._say(f"The former file is {kept}.")
        named = f" --config {self._options.config}" if self._options.config else ""
        if written != tables:
            self._say(
                "What came from the environment is not in it: set that for every"
                " command."
            )
        for line in (
            "What is left to do:",
            f"  1. stash2plex{named} run",
            "  2. In another terminal:",
            f"     stash2plex{named} install-plugin --via-stash",
            "  3. In Plex, Settings > Metadata Agents > Add Provider:",
            f"     {root}",
            "  4. What is still wrong tells",
            f"     stash2plex{named} check",
        ):
            self._say(line)

    # --- small things ---------------------------------------------------------------

    def _value(
        self,
        section: str,
        key: str,
        question: str,
        *,
        default: str,
        again: bool = False,
    ) -> str:
        """Return an option, or what the environment or the older plugin says.

        Only then is it asked for, or the *default*; *again* when it did not work.
        """
        given = getattr(self._options, f"{section}_{key}")
        found = (
            self._typed.get((section, key))
            or given
            or self._environment.get(section, {}).get(key)
            or self._tables[section].get(key)
        )
        if found and not again:
            return str(found).rstrip("/") if key == "url" else str(found)
        if question and self._asks:
            shown = str(found or default)
            said: str = Prompt.ask(question, default=shown, console=self._console)
            self._typed[section, key] = said.strip().rstrip("/")
            return self._typed[section, key]
        return str(found or default)

    def _checked(self, section: type[S], **values: str) -> S:
        """Return the settings of a server; raises `ConfigError` over what is none."""
        try:
            return section(**values)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            where = section.__name__.removesuffix("Settings").lower()
            self._typed.pop((where, "url"), None)  # it is no good to start from
            told = f"{where}.{problem['loc'][0]}: {plainly(problem, 'text')}"
            raise ConfigError(told) from None

    def _tried(self, asking: Coroutine[Any, Any, T], option: str, url: str) -> T:
        """Ask a server; an error of one that is not there says what was tried."""
        try:
            return asyncio.run(asking)
        except AccessDenied:
            raise
        except ServiceUnavailable as error:
            remedy = "" if self._asks else f", give another with {option}"
            error.args = (f"{error}; tried {url}{remedy}",)
            raise

    def _ask_secret(self, question: str) -> str:
        if not self._asks:
            return ""
        return getpass(f"{question}: ").strip()

    def _say(self, text: str) -> None:
        self._console.print(text)


def _without(
    table: Mapping[str, Any], environment: Mapping[str, Any]
) -> dict[str, Any]:
    """Return *table* without what the environment sets."""
    return {
        key: _without(one, environment.get(key, {})) if isinstance(one, dict) else one
        for key, one in table.items()
        if isinstance(one, dict) or key not in environment
    }


# --- asking the servers ---------------------------------------------------------------


async def _stash_version(settings: StashSettings) -> str:
    async with StashClient.connect(settings) as stash:
        return await stash.probe()


async def _imported(settings: StashSettings) -> Imported:
    async with StashClient.connect(settings) as stash:
        found = await StashPlugins(stash).settings(OLDER_PLUGIN)
    return import_settings(found)


async def _plex_sections(settings: PlexSettings) -> tuple[str, list[Section]]:
    async with PlexConnection.open(settings, _CLIENT) as connection:
        plex = PlexLibrary(connection, ())
        server = await plex.server()
        return server.version, await plex.movie_sections()
