"""Why Stash has no scene for a file of Plex, as far as the file itself tells.

Measured: folders whose names differ in case alone are one to Stash, and it skips empty
files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from stash2plex.catalog.tables import name_of
from stash2plex.paths import file_name

if TYPE_CHECKING:
    from stash2plex.catalog.store import CatalogStore
    from stash2plex.paths import PathMap

EMPTY = "the file is empty, and Stash skips empty files"


async def why_lost(
    store: CatalogStore, paths: PathMap, files: Mapping[str, int | None]
) -> dict[str, str]:
    """Return by path what is odd about files of Plex, given with their sizes."""
    found = {path: EMPTY for path, size in files.items() if size == 0}
    twins = await store.stash_files_named({name_of(path) for path in files})
    known: dict[str, str] = {}
    for one in twins:
        if one.key is not None:
            known.setdefault(one.key.casefold(), one.path)
    for path in files.keys() - found.keys():
        twin = known.get(paths.key_of_plex(path).casefold())
        if twin and file_name(twin) == file_name(path):
            found[path] = (
                f"Stash has it as {twin!r}: folders whose names differ in case alone"
                " are one to Stash"
            )
    return found
