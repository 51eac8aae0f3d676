"""Hook events of the Stash plugin: which of them are worth a look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from stash2plex.queue.job import Kind, Reason
from stash2plex.web.validation import StashNumber, parsed

if TYPE_CHECKING:
    from stash2plex.config import SyncSettings

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


def parse(body: Any) -> Hook:
    """Read a hook; raises `InvalidRequest` saying what is wrong with *body*."""
    return parsed(Hook, body, '; expected {"type": "Scene.Update.Post", "id": 45}')


def sort_out(hook: Hook, sync: SyncSettings) -> Wanted | Ignored:
    """Decide whether *hook* is worth a job, and how urgent it is."""
    subject, _, rest = hook.type.partition(".")
    action = rest.partition(".")[0]
    kind = _KINDS.get(subject)
    if kind is None or action not in _ACTIONS:
        return Ignored(f"{hook.type} changes nothing that Plex shows")
    if kind is not Kind.SCENE:
        if action == "Create":
            return Ignored("nothing has it yet")
        return Wanted(kind, hook.id, Reason.HOOK)
    if action == "Update" and not hook.fields:
        # A scan: perhaps the file moved, perhaps all files were read again.
        return Wanted(kind, hook.id, Reason.EXPANDED)
    if action == "Update" and not _shown(hook.fields or (), sync):
        return Ignored("only fields that Plex never shows")
    return Wanted(kind, hook.id, Reason.HOOK)


def _shown(fields: tuple[str, ...], sync: SyncSettings) -> bool:
    hidden = set(_NEVER_SHOWN)
    if not sync.require_organized:
        hidden.add("organized")
    if not sync.require_stash_id:
        hidden.add("stash_ids")
    return not hidden.issuperset(fields)
