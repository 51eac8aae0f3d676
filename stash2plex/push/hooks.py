"""Hooks of Stash: what each tells, whether it is worth a look, and taking it.

They come over HTTP or by Stash's log, and are hints either way: whatever they name is
read from Stash before anything is done about it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Protocol

import structlog
from pydantic import BaseModel, ConfigDict, Field

from stash2plex.queue.job import Kind, Reason
from stash2plex.scene import MOST_SQLITE_HOLDS

if TYPE_CHECKING:
    from stash2plex.config import SyncSettings
    from stash2plex.db.last_time import LastTime
    from stash2plex.queue.store import JobStore

log = structlog.get_logger()

# The number of a scene, or of another thing, in Stash.
StashNumber = Annotated[int, Field(ge=1, le=MOST_SQLITE_HOLDS, strict=True)]

# Fields of a scene's input that Plex never shows, whatever the settings.
_NEVER_SHOWN = frozenset(
    {
        "id",
        "ids",
        "clientMutationId",
        "url",
        "urls",
        "gallery_ids",
        "o_counter",
        "play_count",
        "play_duration",
        "resume_time",
    }
)
# Stash renamed movies to groups in v0.27 and still sends both.
_KINDS = {
    "Scene": Kind.SCENE,
    "Performer": Kind.PERFORMER,
    "Studio": Kind.STUDIO,
    "Tag": Kind.TAG,
    "Group": Kind.GROUP,
    "Movie": Kind.GROUP,
}
# What the plugin posts to try the way; no scene is meant.
PING = "Plugin.Ping.Post"
_ACTIONS = frozenset({"Create", "Update", "Destroy", "Merge"})


class Files(BaseModel):
    """The primary file of a scene that was deleted."""

    model_config = ConfigDict(extra="ignore")

    path: str | None = None
    oshash: str | None = None
    checksum: str | None = None


class Hook(BaseModel):
    """What the plugin posts: which thing changed, and which of its fields."""

    model_config = ConfigDict(extra="ignore")

    type: Annotated[str, Field(min_length=1, max_length=100)]
    id: StashNumber
    fields: tuple[str, ...] | None = None
    files: Files | None = None

    @property
    def kind(self) -> Kind | None:
        """What kind of thing it is about; None for what Plex never shows."""
        return _KINDS.get(self.type.partition(".")[0])

    @property
    def action(self) -> str:
        """What happened to it, such as ``Update``."""
        return self.type.partition(".")[2].partition(".")[0]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A hook that asks for a job."""

    kind: Kind
    id: int
    reason: Reason


@dataclass(frozen=True, slots=True)
class Ignored:
    """A hook that changes nothing Plex shows."""

    reason: str


class Stash(Protocol):
    """What must be known of the Stash that hooks come from."""

    @property
    def has_groups(self) -> bool:
        """Whether it is known to have groups; movies are their former name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookTaker:
    """Makes hooks jobs.

    *forget* is told of each scene, or None for any; *tried* that somebody only tried
    the way.
    """

    jobs: JobStore
    sync: SyncSettings
    stash: Stash
    hooked: LastTime
    wake: Callable[[], None]
    forget: Callable[[int | None], None]
    tried: Callable[[], None]

    async def take(self, hook: Hook) -> tuple[str, str | None]:
        """Take one; durable on return.

        Returns what became of it: ``queued``, ``merged`` or ``ignored``, and why that.
        """
        wanted = self._sorted_out(hook)
        if hook.type == PING:
            self.tried()
        else:
            await self.hooked.note()
        if isinstance(wanted, Ignored):
            log.debug("hook_ignored", type=hook.type, id=hook.id, reason=wanted.reason)
            return "ignored", wanted.reason
        outcome = await self.jobs.enqueue(wanted.kind, wanted.id, wanted.reason)
        self._tell([wanted])
        log.debug("hook_received", type=hook.type, id=hook.id, outcome=outcome)
        return outcome, None

    async def take_all(self, wanted: Sequence[Wanted]) -> None:
        """Take many at once; durable on return."""
        ids: defaultdict[tuple[Kind, Reason], list[int]] = defaultdict(list)
        for one in wanted:
            ids[one.kind, one.reason].append(one.id)
        for (kind, reason), numbers in ids.items():
            await self.jobs.enqueue_many(kind, numbers, reason)
        await self.hooked.note()
        self._tell(wanted)
        log.debug("hooks_received", count=len(wanted))

    def wanted(self, hook: Hook) -> Wanted | None:
        """Return the job that a hook asks for, if it is worth one."""
        found = self._sorted_out(hook)
        return found if isinstance(found, Wanted) else None

    def _sorted_out(self, hook: Hook) -> Wanted | Ignored:
        return sort_out(hook, self.sync, has_groups=self.stash.has_groups)

    def _tell(self, wanted: Iterable[Wanted]) -> None:
        for one in {one.id if one.kind is Kind.SCENE else None for one in wanted}:
            self.forget(one)
        self.wake()


def sort_out(
    hook: Hook, sync: SyncSettings, *, has_groups: bool = False
) -> Wanted | Ignored:
    """Decide whether *hook* is worth a job, and how urgent it is."""
    kind, action = hook.kind, hook.action
    if has_groups and hook.type.startswith("Movie."):
        return Ignored("the same is told of its group")
    if kind is None or action not in _ACTIONS:
        return Ignored(f"{hook.type} changes nothing that Plex shows")
    if kind is not Kind.SCENE:
        return _of_part(kind, hook)
    if action == "Update" and not hook.fields:
        # A scan: perhaps the file moved, perhaps all files were read again.
        return Wanted(kind, hook.id, Reason.EXPANDED)
    if action == "Update" and not _shown(hook.fields or (), sync):
        return Ignored("only fields that Plex never shows")
    return Wanted(kind, hook.id, Reason.HOOK)


def _of_part(kind: Kind, hook: Hook) -> Wanted | Ignored:
    if hook.action == "Create":
        return Ignored("nothing has it yet")
    return Wanted(kind, hook.id, Reason.HOOK)


def _shown(fields: tuple[str, ...], sync: SyncSettings) -> bool:
    hidden = set(_NEVER_SHOWN)
    if not sync.require_organized:
        hidden.add("organized")
    if not sync.require_stash_id:
        hidden.add("stash_ids")
    return not hidden.issuperset(fields)
