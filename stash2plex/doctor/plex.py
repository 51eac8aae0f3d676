"""Plex: reachable, with the owner's token, and the libraries that are wanted."""

from __future__ import annotations

import json

from stash2plex.catalog.catalog import LIBRARIES
from stash2plex.config import Settings
from stash2plex.db.database import DATABASE, read_fact
from stash2plex.doctor.finding import Finding
from stash2plex.errors import AccessDenied, LibraryNotFound, Stash2PlexError
from stash2plex.plex.edits import LONGEST
from stash2plex.plex.item import Section
from stash2plex.plex.library import PlexLibrary
from stash2plex.push.learned import LEARNED, knowledge_from


async def reachable(plex: PlexLibrary, settings: Settings) -> Finding:
    """Say whether Plex answers and takes the token."""
    try:
        server = await plex.server()
    except Stash2PlexError as error:
        code = "plex_reachable"
        fix = f"does this machine or container reach Plex at {settings.plex.url}?"
        if isinstance(error, AccessDenied):
            code, fix = "plex_access", "set plex.token"
        return Finding(code, "fail", str(error), fix)
    return Finding("plex", "ok", f"Plex {server.version} answers and takes the token")


async def owner(plex: PlexLibrary) -> Finding:
    """Say whether the token is the owner's, who alone may edit."""
    code = "plex_owner"
    try:
        owned = await plex.is_owner()
    except Stash2PlexError as error:
        return Finding(code, "warn", str(error), "look at Plex")
    if not owned:
        message = "plex.token is not the owner's: it reads, but may not edit"
        return Finding(code, "fail", message, "set plex.token to the owner's")
    return Finding(code, "ok", "the token is the owner's")


def known_libraries(settings: Settings) -> dict[str, int]:
    """Return the numbers of the daemon's libraries, by configured title."""
    known = read_fact(settings.server.data_dir / DATABASE, LIBRARIES)
    return dict(json.loads(known)) if known else {}


async def libraries(plex: PlexLibrary) -> tuple[Finding, list[Section]]:
    """Say which libraries are kept, and of which agent each is."""
    code = "plex_libraries"
    try:
        every = await plex.every_section()
        sections = plex.chosen([one for one in every if one.kind == "movie"])
    except LibraryNotFound as error:
        others = [
            f"{one.title!r} is of the type {one.kind}"
            for one in every
            if one.title in plex.titles
        ]
        message = "; ".join([str(error), *others])
        fix = "correct plex.libraries, or empty it to use every movie library"
        return Finding(code, "fail", message, fix), []
    except Stash2PlexError as error:
        return Finding(code, "fail", str(error), "look at Plex"), []
    if not sections:
        fix = "add a library of the type Movies or Other Videos in Plex"
        return Finding(code, "fail", "Plex has no movie library", fix), []
    titles = ", ".join(f"{one.title!r} (agent {one.agent})" for one in sections)
    if renamed := plex.renamed(every):
        told = ", ".join(f"{old!r} is called {new!r}" for old, new in renamed.items())
        message = f"library {told} by now; it is used nevertheless"
        return Finding(code, "warn", message, "correct plex.libraries"), sections
    if missing := plex.missing(sections):
        message = f"no library {', '.join(map(repr, missing))}; using {titles}"
        return Finding(code, "warn", message, "correct plex.libraries"), sections
    return Finding(code, "ok", f"libraries: {titles}"), sections


def request_line(settings: Settings) -> Finding:
    """Say how long a request line may be, by the configuration or as was learned."""
    code = "plex_request_line"
    if number := settings.plex.longest_target:
        message = f"a request line has at most {number:,} bytes, as configured"
        return Finding(code, "ok", message)
    known = knowledge_from(read_fact(settings.server.data_dir / DATABASE, LEARNED))
    message = f"a request line has at most {known.line:,} bytes"
    if known.line < LONGEST:
        message += ", since this server or a proxy refused more; longer texts are cut"
    return Finding(code, "ok", message)


def uploads(settings: Settings) -> Finding | None:
    """Say whether this server does not show what is uploaded; None if all is well."""
    known = knowledge_from(read_fact(settings.server.data_dir / DATABASE, LEARNED))
    if not known.misses:
        return None
    return Finding(
        "plex_uploads",
        "warn",
        f"Plex did not show {known.misses} uploaded pictures by itself; each upload is"
        " selected and looked at now, which costs requests",
        "nothing; please report it with Plex's version",
    )
