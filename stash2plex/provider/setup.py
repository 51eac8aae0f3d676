"""How the provider gets into Plex: what is done of it, and what is left to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import quote

from stash2plex.hosts import HERE, in_url, is_here

if TYPE_CHECKING:
    from stash2plex.config import ProviderSettings, Settings
    from stash2plex.plex.item import Section


_SECRET = "<provider.secret>"  # noqa: S105 - what stands for it


def root_path(provider: ProviderSettings) -> str:
    """Return the path of the provider's root, with its secret."""
    return _below(provider, provider.secret.get_secret_value())


def root_url(settings: Settings) -> str:
    """Return the provider's root as it is to be typed into Plex, without its secret.

    ``localhost`` would mean Plex's own machine or container, so it is never offered.
    """
    server, provider = settings.server, settings.provider
    host = HERE if is_here(server.host) else in_url(server.host)
    secret = _SECRET if provider.secret.get_secret_value() else ""
    return f"http://{host}:{server.port}{_below(provider, secret)}"


def _below(provider: ProviderSettings, secret: str) -> str:
    return f"{provider.path}/{secret}" if secret else provider.path


def steps(settings: Settings, sections: Sequence[Section]) -> list[str]:
    """Return the steps that add the provider, in Plex's UI and with its API."""
    root, plex = root_url(settings), settings.plex.url
    title, identifier = settings.provider.title, settings.provider.identifier
    library = sections[0] if sections else None
    name = library.title if library else "your library"
    number = library.id if library else "<library>"
    header = "-H 'X-Plex-Token: <token>'"
    typed = root.replace(HERE, "ADDRESS").replace(_SECRET, "SECRET")
    encoded = quote(typed, safe="")
    group = f"title={quote(title)}&primaryIdentifier={identifier}"
    agent = f"agent={identifier}&metadataAgentProviderGroupId=<id>"
    return [
        "In Plex (1.43 or newer), as its owner:",
        f"  1. Settings > Metadata Agents > Add Provider: {root}",
        f"  2. Settings > Metadata Agents > Add Agent, primary provider: {title}",
        f"  3. {name!r} > Edit > Advanced > Agent: {title}; then Refresh All Metadata",
        "Or with its API, ADDRESS being this machine and SECRET provider.secret:",
        f"  1. curl -X POST {header} '{plex}/media/providers/metadata?uri={encoded}'",
        f"  2. curl -X POST {header} '{plex}/media/providers/metadata/group?{group}'",
        f"  3. curl -X PUT {header} '{plex}/library/sections/{number}?{agent}'",
        f"     curl {header} '{plex}/library/sections/{number}/refresh?force=1'",
    ]
