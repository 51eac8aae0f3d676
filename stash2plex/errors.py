"""Everything that can go wrong on purpose, and what the queue does about it.

The class of an error decides the fate of the job that hit it; see
``docs/errors.md``. Anything not derived from `Stash2PlexError` is a bug.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar


class Stash2PlexError(Exception):
    """Root of the errors this project raises itself."""

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500


# --- the outside world --------------------------------------------------------


class ServiceUnavailable(Stash2PlexError):
    """Stash or Plex did not answer; the job waits and keeps its attempts."""

    code = "service_unavailable"
    http_status = 503

    def __init__(self, service: str, reason: str, *, pause: float = 0.0) -> None:
        super().__init__(f"{service} is unavailable: {reason}")
        self.service = service
        self.reason = reason
        self.pause = pause  # seconds that the server asked us to stay away


class Unreachable(ServiceUnavailable):
    """No connection could be made, whatever it was for."""


class StartingUp(ServiceUnavailable):
    """A server says so: it may answer reads, and refuses every write for a while."""


class NotWorking(ServiceUnavailable):
    """A server answers, and proved that nothing works: it need not be tried further.

    *message* says all of it.
    """

    def __init__(self, service: str, message: str) -> None:
        super().__init__(service, message)
        self.args = (message,)


class AccessDenied(NotWorking):
    """Our token or key is refused, so every job would fail alike; all wait."""

    code = "access_denied"
    http_status = 502


class SchemaMismatch(NotWorking):
    """Stash does not understand our queries; every job would fail alike."""

    code = "schema_mismatch"
    http_status = 502


class ServerFault(Stash2PlexError):
    """A server stumbled over this one thing (HTTP 500); try again later."""

    code = "server_fault"
    http_status = 502

    def __init__(self, service: str, reason: str) -> None:
        super().__init__(f"{service}: {reason}")
        self.service = service
        self.reason = reason


class AnswerTooLarge(ServerFault):
    """An answer is larger than we read; ask for less at once."""


class UnsteadyListing(ServerFault):
    """A listing repeats itself instead of going on; nothing can be said of its end."""


class RequestRejected(Stash2PlexError):
    """Stash or Plex answered no; asking again will not help.

    *status* is that of the answer, 0 if it is not about one.
    """

    code = "request_rejected"
    http_status = 502

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class OddAnswer(RequestRejected):
    """What a server says of this one thing makes no sense, however often it is asked.

    *thing* is its number in Stash or its rating key.
    """

    def __init__(self, service: str, thing: int, reason: str) -> None:
        kind = "item" if service == "Plex" else "scene"
        super().__init__(f"{service}: {kind} {thing} makes no sense: {reason}")
        self.thing = thing


class EditRefused(Stash2PlexError):
    """Plex took nothing of an edit.

    A server that has just started may do so with all of them, so it is tried again.
    """

    code = "request_rejected"
    http_status = 502


class PictureFailed(Stash2PlexError):
    """A picture did not arrive; the rest of the scene did."""

    code = "picture_failed"
    http_status = 502


class PictureUnusable(PictureFailed):
    """It arrived, but nothing can be made of it, however often it is fetched.

    *etag* is what Stash calls those bytes, "" if it does not.
    """

    def __init__(self, message: str, *, etag: str = "") -> None:
        super().__init__(message)
        self.etag = etag


class PictureUnreadable(PictureFailed):
    """Stash has it, and shows a placeholder: it cannot read it at the moment."""


class PictureNotFound(PictureFailed):
    """There is no such picture, or none that we made a URL for."""

    http_status = 404


# --- matching -----------------------------------------------------------------


class ItemNotFound(Stash2PlexError):
    """Plex has no item for this scene yet; a later scan may add it."""

    code = "item_not_found"
    http_status = 404


class UnmappedPath(ItemNotFound):
    """No path rule covers the scene's files, and nothing else found it."""

    code = "unmapped_path"


class AmbiguousMatch(ItemNotFound):
    """Several items or scenes lay claim to one file; *items* are those in doubt."""

    code = "ambiguous_match"
    http_status = 409

    def __init__(self, message: str, items: Iterable[int] = ()) -> None:
        super().__init__(message)
        self.items = frozenset(items)


class CatalogIncomplete(Stash2PlexError):
    """The libraries are still being read; look again when they are."""

    code = "catalog_incomplete"
    http_status = 503


class StaleCatalog(Stash2PlexError):
    """The item no longer holds the file that led to it; look again."""

    code = "stale_catalog"
    http_status = 503


class Braked(Stash2PlexError):
    """So much vanished at once that nothing is forgotten until somebody agrees."""

    code = "braked"
    http_status = 409


class LibraryNotFound(Stash2PlexError):
    """None of the configured libraries is a movie library of this Plex."""

    code = "library_not_found"
    http_status = 502


# --- requests to us -----------------------------------------------------------


class InvalidRequest(Stash2PlexError):
    """A body that we cannot make sense of."""

    code = "invalid_request"
    http_status = 400


class Unauthorized(Stash2PlexError):
    """No token, or not ours."""

    code = "unauthorized"
    http_status = 401


class StoreUnavailable(Stash2PlexError):
    """The database cannot be written; nothing was accepted."""

    code = "store_unavailable"
    http_status = 503


class Restarting(Stash2PlexError):
    """Another configuration takes over at this moment."""

    code = "restarting"
    http_status = 503


# --- starting up --------------------------------------------------------------


class ConfigError(Stash2PlexError):
    """The configuration cannot be used; the message names file, key and remedy."""

    code = "config_error"


class DataDirUnusable(Stash2PlexError):
    """The data directory cannot be created, read or written."""

    code = "data_dir_unusable"


class DataDirGone(Stash2PlexError):
    """What the daemon keeps was deleted while it ran; it has to start anew."""

    code = "data_dir_gone"


class AlreadyRunning(Stash2PlexError):
    """Another daemon holds this data directory."""

    code = "already_running"


class DatabaseTooNew(Stash2PlexError):
    """The database file was written by a later release."""

    code = "database_too_new"


class AddressInUse(Stash2PlexError):
    """Something else listens on our port."""

    code = "address_in_use"


class DaemonUnreachable(Stash2PlexError):
    """A command could not talk to the running daemon."""

    code = "daemon_unreachable"


class DaemonRefused(Stash2PlexError):
    """The running daemon did not do what a command asked."""

    code = "daemon_refused"
