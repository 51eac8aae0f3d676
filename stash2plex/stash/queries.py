"""The GraphQL documents, fitted to what the server's schema offers.

Valid from Stash v0.25 on; groups were called movies before v0.27. Scenes are read by
aliases, many in one request: ``findScenes(ids:)`` fails whole over one missing id.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from gql import GraphQLRequest, gql

PROBE = gql(
    """
    query Stash2PlexProbe {
      version { version }
      scene: __type(name: "Scene") { fields(includeDeprecated: true) { name } }
      filter: __type(name: "SceneFilterType") { inputFields { name } }
    }
    """
)
COUNT = gql(
    """
    query Stash2PlexCount {
      findScenes(filter: { per_page: 0, sort: "id" }) { count }
    }
    """
)
VERSION = gql("query Stash2PlexVersion { version { version } }")

_SCENE = """
    fragment SceneParts on Scene {
      id title code details director date rating100 organized updated_at created_at
      files { path size duration }
      paths { screenshot }
      studio { %s }
      tags { id name }
      performers { %s }
      stash_ids { endpoint stash_id }
      %s
    }
"""
# Each picture of a performer or studio costs Stash a query more.
_NAMED = "id name"
_PICTURED = "id name image_path"
_ENTRY = "id updated_at created_at title date files { path size duration }"


class Question(GraphQLRequest):
    """A document with the variables of one request.

    gql would write the document out anew each time, which takes longer than all else.
    """

    def __init__(self, document: GraphQLRequest, variables: dict[str, Any]) -> None:
        super().__init__(document, variable_values=variables)
        self._text = _text_of(document)

    @property
    def payload(self) -> dict[str, Any]:
        """Return what is sent."""
        return {"query": self._text, "variables": self.variable_values}


@lru_cache(maxsize=256)
def _text_of(document: GraphQLRequest) -> str:
    return str(document.payload["query"])


@dataclass(frozen=True, slots=True)
class Dialect:
    """How this server's schema differs from others."""

    has_groups: bool = True
    has_files_filter: bool = True

    @property
    def groups(self) -> str:
        """Ask for the names of a scene's groups; in cast order, first come first."""
        if self.has_groups:
            return "groups { group { id name } }"
        return "groups: movies { group: movie { id name } }"

    @property
    def group_filter(self) -> str:
        """The filter that finds the scenes of a group."""
        return "groups" if self.has_groups else "movies"

    def kind(self, kind: str) -> str:
        """Return what this server calls a performer, studio, tag or group."""
        return "movie" if kind == "group" and not self.has_groups else kind


@lru_cache(maxsize=128)
def scenes_by_id(dialect: Dialect, count: int, *, pictures: bool) -> GraphQLRequest:
    """Read *count* scenes, variables ``i0``… and answers ``s0``…; missing ones null.

    With *pictures*, also where those of performers and studios are.
    """
    parts = _parts(dialect, pictures=pictures)
    variables = ", ".join(f"$i{number}: ID!" for number in range(count))
    fields = " ".join(
        f"s{number}: findScene(id: $i{number}) {{ ...SceneParts }}"
        for number in range(count)
    )
    return gql(f"query Stash2PlexScenes({variables}) {{ {fields} }}" + parts)


def _parts(dialect: Dialect, *, pictures: bool) -> str:
    studio = f"{_PICTURED} parent_studio {{ name }}" if pictures else _NAMED
    return _SCENE % (studio, _PICTURED if pictures else _NAMED, dialect.groups)


@lru_cache(maxsize=8)
def whole_scenes(dialect: Dialect) -> GraphQLRequest:
    """Read what a filter finds, with where all pictures are."""
    return gql(
        """
        query Stash2PlexFind($filter: FindFilterType, $scenes: SceneFilterType) {
          findScenes(filter: $filter, scene_filter: $scenes) {
            scenes { ...SceneParts }
          }
        }
        """
        + _parts(dialect, pictures=True)
    )


@lru_cache(maxsize=8)
def image_of(kind: str) -> GraphQLRequest:
    """Read where the picture of a performer or studio is."""
    return gql(
        f"""
        query Stash2PlexImage($id: ID!) {{
          found: find{kind.capitalize()}(id: $id) {{ image_path }}
        }}
        """
    )


@lru_cache(maxsize=8)
def entries() -> GraphQLRequest:
    """Read one page of a listing, cheap fields only."""
    return gql(
        f"""
        query Stash2PlexEntries($filter: FindFilterType, $scenes: SceneFilterType) {{
          findScenes(filter: $filter, scene_filter: $scenes) {{
            scenes {{ {_ENTRY} }}
          }}
        }}
        """
    )


@lru_cache(maxsize=8)
def counted_entries() -> GraphQLRequest:
    """Read one page of a listing, and how many it has in all."""
    return gql(
        f"""
        query Stash2PlexChanges($filter: FindFilterType, $scenes: SceneFilterType) {{
          findScenes(filter: $filter, scene_filter: $scenes) {{
            count scenes {{ {_ENTRY} }}
          }}
        }}
        """
    )


@lru_cache(maxsize=16)
def changed_parts(kind: str) -> GraphQLRequest:
    """Read one page of performers, studios, tags, groups or movies."""
    name = kind.capitalize()
    return gql(
        f"""
        query Stash2PlexParts($filter: FindFilterType, $parts: {name}FilterType) {{
          found: find{name}s(filter: $filter, {kind}_filter: $parts) {{
            parts: {kind}s {{ id updated_at }}
          }}
        }}
        """
    )


@lru_cache(maxsize=64)
def studios_and_groups_named(dialect: Dialect, count: int) -> GraphQLRequest:
    """Read the studios and groups with *count* names, in variables ``n0``, ``n1``.

    Answers are ``s0`` and ``g0``, and so on; the name is compared with LIKE.
    """
    group = dialect.kind("group")
    variables = ", ".join(f"$n{number}: String!" for number in range(count))
    fields = " ".join(
        f"{alias}{number}: find{kind.capitalize()}s(filter: {{ per_page: 20 }},"
        f" {kind}_filter: {{ name: {{ value: $n{number}, modifier: EQUALS }} }})"
        f" {{ parts: {kind}s {{ name }} }}"
        for number in range(count)
        for alias, kind in (("s", "studio"), ("g", group))
    )
    return gql(f"query Stash2PlexNames({variables}) {{ {fields} }}")


SCANS = gql("subscription Stash2PlexScans { scanCompleteSubscribe }")
