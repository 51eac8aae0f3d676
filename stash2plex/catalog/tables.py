"""What the catalogue's tables have in common.

Nothing here asks a server, and nothing needs to survive a power cut: it can be read
again. A file's *key* is what every spelling of one path of Plex has in common; a file
of Stash carries the key of the path it maps to.
"""

from __future__ import annotations

import json
from collections.abc import Iterable

from stash2plex.db.database import Database
from stash2plex.paths import PathMap, file_name
from stash2plex.text import name_key

# Rows that one transaction rewrites, so that hooks get their turn in between.
CHUNK = 500


class Tables:
    """Holds what is needed to read and write them.

    Knows the path rules for the keys, and *identifier* for the guids that are ours.
    """

    def __init__(self, database: Database, paths: PathMap, identifier: str) -> None:
        self._database = database
        self._paths = paths
        self._identifier = identifier


def name_of(path: str) -> str:
    return name_key(file_name(path))


def listed(ids: Iterable[int]) -> str:
    return json.dumps(list(ids))
