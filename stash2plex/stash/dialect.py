"""What a Stash's schema offers of what is asked for; releases differ, also later ones.

What only tells something about a scene is optional: without it that stays as it is in
Plex, and everything else goes on.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

# By type, what is asked for where it is there. Groups were called movies before v0.27.
OPTIONAL = {
    "Scene": (
        "title code details director date rating100 organized created_at paths studio"
        " tags performers stash_ids"
    ).split(),
    "ScenePathsType": ["screenshot"],
    "VideoFile": ["size", "duration"],
    "Studio": ["image_path", "parent_studio", "created_at", "updated_at"],
    "Performer": ["image_path", "created_at", "updated_at"],
    "Tag": ["created_at", "updated_at"],
    "Group": ["created_at", "updated_at"],
    "Query": [
        *("findPerformers", "findStudios", "findTags", "findGroups"),
        *("findPerformer", "findStudio", "findSceneByHash", "systemStatus", "jobQueue"),
    ],
    "SceneFilterType": (
        "is_missing path oshash stash_id_endpoint performers studios tags groups"
        " file_count"
    ).split(),
    "PerformerFilterType": ["updated_at"],
    "StudioFilterType": ["updated_at", "name"],
    "TagFilterType": ["updated_at"],
    "GroupFilterType": ["updated_at", "name"],
}
# What is asked about beside those: what groups were called, and what only newer
# releases have (v0.29).
_OTHERS = ("Movie", "MovieFilterType", "Mutation", "FileFilterType")
# The first release that can do all that is wanted has it (v0.25).
_NEWEST_NEED = "Mutation.runPluginOperation"
TYPES = (*OPTIONAL, *_OTHERS)


@dataclass(frozen=True)
class Dialect:
    """The *fields* that there are, each with its type: ``Scene.title``."""

    fields: frozenset[str]

    @classmethod
    def from_types(cls, types: Iterable[tuple[str, Iterable[str]]]) -> Dialect:
        """Return the dialect of types, each with the names of its fields."""
        named = ((kind, name) for kind, names in types for name in names)
        return cls(frozenset(f"{kind}.{name}" for kind, name in named))

    def has(self, name: str) -> bool:
        """Whether there is a field, such as ``Scene.title``."""
        return name in self.fields

    def among(self, kind: str, *names: str) -> str:
        """Return those of *names* that a type has, as they stand in a document."""
        return " ".join(name for name in names if self.has(f"{kind}.{name}"))

    @cached_property
    def has_groups(self) -> bool:
        """Whether there are groups, by that name or as movies."""
        return self.has("Scene.groups") or self.has("Scene.movies")

    @cached_property
    def group(self) -> str:
        """What groups are called: ``group``, or ``movie`` before v0.27."""
        return "group" if self.has("Scene.groups") else "movie"

    def kind(self, kind: str) -> str:
        """Return what this server calls a performer, studio, tag or group."""
        return self.group if kind == "group" else kind

    def lists(self, kind: str, *, by: str = "updated_at") -> bool:
        """Whether performers, studios, tags or groups can be found *by* something."""
        name = self.kind(kind).capitalize()
        needed = (f"Query.find{name}s", f"{name}FilterType.{by}", f"{name}.{by}")
        # Everything has a name.
        return all(self.has(one) for one in needed if one != f"{name}.name")

    @cached_property
    def listed(self) -> tuple[str, ...]:
        """Which of performers, studios, tags and groups can be listed by their time."""
        kinds = ("performer", "studio", "tag", "group")
        return tuple(one for one in kinds if self.lists(one))

    @cached_property
    def finds_files(self) -> bool:
        """Whether files can be found on their own, and scenes by their hash (v0.29)."""
        wanted = ("basename", "updated_at", "scene_count")
        return (
            self.has("Query.findFiles")
            and self.has("Query.findSceneByHash")
            and all(self.has(f"FileFilterType.{name}") for name in wanted)
        )

    @cached_property
    def lists_folders(self) -> bool:
        """Whether folders can be listed (v0.29)."""
        return self.has("Query.findFolders")

    @cached_property
    def named(self) -> tuple[str, ...]:
        """Which of studios and groups can be found by their names."""
        kinds = ("studio", "group")
        return tuple(one for one in kinds if self.lists(one, by="name"))

    def filters(self, name: str) -> bool:
        """Whether scenes can be found by something, such as ``path``."""
        return self.has(f"SceneFilterType.{name}")

    @cached_property
    def unknown(self) -> frozenset[str]:
        """What a `Scene` read from here does not tell, by its attributes."""
        lacking = {name for name in OPTIONAL["Scene"] if not self.has(f"Scene.{name}")}
        if "paths" in lacking or not self.has("ScenePathsType.screenshot"):
            lacking = lacking - {"paths"} | {"screenshot"}
        return frozenset(lacking if self.has_groups else lacking | {"groups"})

    @cached_property
    def missing(self) -> list[str]:
        """What is asked for elsewhere and is not there, each with its type."""
        names = [f"{kind}.{name}" for kind, all_ in OPTIONAL.items() for name in all_]
        if self.group == "movie":  # of groups there is nothing then
            names = [one for one in names if "group" not in one.lower()]
        if not self.has_groups:
            names.append("Scene.groups")
        return [one for one in names if not self.has(one)]

    @property
    def is_too_old(self) -> bool:
        """Whether it is of a release before v0.25, which cannot run our plugin."""
        return not self.has(_NEWEST_NEED)


def is_input(kind: str) -> bool:
    """Whether a type is one of values that are sent."""
    return kind.endswith("FilterType")
