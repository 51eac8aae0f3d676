"""Commands for setting it up, and for finding what is wrong with that."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys

from rich.console import Console
from rich.markup import escape

from stash2plex import plugin
from stash2plex.commands.shared import FAILED, WELL, demand_plex_token, settings_of
from stash2plex.config import Settings
from stash2plex.doctor import Finding, examine
from stash2plex.logs import Secrets, configure

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def check(options: argparse.Namespace) -> int:
    """Look for what is wrong with the set-up."""
    settings = settings_of(options)
    demand_plex_token(settings)
    secrets = Secrets(settings.secrets())
    configure("error", "auto", secrets, stream=sys.stderr)
    findings = asyncio.run(_examined(settings, secrets, silent=options.json))
    if options.json:
        print(json.dumps([one.as_json() for one in findings], ensure_ascii=False))
    return FAILED if any(one.level == "fail" for one in findings) else WELL


def install_plugin(options: argparse.Namespace) -> int:
    """Put the Stash plugin into a Stash plugins folder."""
    folder = plugin.install(options.folder)
    print(f"The plugin is in {folder}.")
    print("In Stash: Settings > Plugins > Reload plugins, then set there")
    print("  Daemon URL    where this daemon listens, as seen from Stash's machine or")
    print("                container, such as http://192.168.1.5:9898")
    print("  Daemon token  server.token, or the content of 'token' in server.data_dir")
    return WELL


async def _examined(
    settings: Settings, secrets: Secrets, *, silent: bool
) -> list[Finding]:
    console = Console(highlight=False, soft_wrap=True)
    findings = []
    async for finding in examine(settings):
        findings.append(finding)
        if silent:
            continue
        colour = _COLOURS[finding.level]
        message = escape(secrets.mask(finding.message))
        fix = f" -> {escape(finding.fix)}" if finding.fix else ""
        console.print(
            f"[{colour}]{finding.level:4}[/{colour}] {finding.code}: {message}{fix}"
        )
        for step in finding.steps:
            console.print(f"     {escape(step)}")
    return findings
