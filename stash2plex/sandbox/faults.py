"""What can go wrong with the pretend Plex; each attribute is a switch."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from stash2plex.sandbox.server import LineBreaker


class PlexFaults:
    """The switches, all off."""

    def __init__(self) -> None:
        self.status: int | None = None  # every answer
        self.retry_after = ""  # a header of such answers
        self.line = LineBreaker()
        self.status_of: dict[int, int] = {}  # by rating key, writes only
        self.read_status_of: dict[str, int] = {}  # by start of the path, reads only
        self.loses_answers = 0  # so many edits are applied, and then the line breaks
        # The same of uploads; and so many lists of candidates lack what was uploaded.
        self.loses_uploads = self.lists_lag = 0
        self.unreadable: set[int] = set()  # rating keys that spoil every read
        # Attributes that make no sense, by rating key; listings that never go on.
        self.odd: dict[int, dict[str, str]] = {}
        self.repeats_pages = False
        self.picture_status: int | None = None
        self.shared_token = False  # reads but may not write
        self.hangs = False
        self.garbles: bytes | None = None
        self.latency = 0.0  # seconds, before each answer
        self.is_starting = False
        # Method, end of the path, status: what is refused, each once.
        self.fails_once: list[tuple[str, str, int]] = []
        # Keeps tags that are to be removed, or refuses that; refuses to take ratings
        # back; fails to show an item once a picture of it was selected.
        self.keeps_tags = self.refuses_removals = self.refuses_ratings = False
        self.unread_after_select = False
        # Done before the next list of candidates is answered.
        self.before_list: Callable[[], Awaitable[None]] | None = None
        self.refused_field = ""  # an edit that names it is refused, e.g. "studio"
        self.total_offset = 0  # its totals are wrong by so much
        self.ignores_file_filter = False  # finds nothing by it
        # How a file is named when a provider is asked: both are documented.
        self.filename_starts_with_slash = False
        self.filename_is_absolute = False
