"""``stash2plex check``: what is wrong with the set-up, why, and how to mend it.

Works with and without a running daemon, and writes nothing anywhere.
"""

from __future__ import annotations

from stash2plex.doctor.examination import examine
from stash2plex.doctor.finding import Finding

__all__ = ["Finding", "examine"]
