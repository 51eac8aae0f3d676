"""The GraphQL documents, fitted to what the server's schema offers.

Scenes are read by aliases, many in one request: ``findScenes(ids:)`` fails whole over
one missing id.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from gql import GraphQLRequest, gql

from stash2plex.stash.dialect import TYPES, Dialect, is_input


def _type(kind: str) -> str:
    fields = "inputFields" if is_input(kind) else "fields(includeDeprecated: true)"
    return f'{kind}: __type(name: "{kind}") {{ {fields} {{ name }} }}'


PROBE = gql(
    f"""
    query Stash2PlexProbe {{
      version {{ version }}
      {" ".join(_type(kind) for kind in TYPES)}
    }}
    """
)
VERSION = gql("query Stash2PlexVersion { version { version } }")
STATUS = gql("query Stash2PlexVersion { version { version } systemStatus { status } }")
# The cheapest question that has to look into the database; no scene has that id.
READ = gql('query Stash2PlexRead { findScene(id: "0") { id } }')


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


def _entry(dialect: Dialect) -> str:
    told = dialect.among("Scene", "created_at", "title", "date")
    return f"id updated_at {told} {_files(dialect)}"


def _files(dialect: Dialect) -> str:
    return f"files {{ path {dialect.among('VideoFile', 'size', 'duration')} }}"


def _entry_parts(dialect: Dialect) -> str:
    return f" fragment SceneParts on Scene {{ {_entry(dialect)} }}"


def _parts(dialect: Dialect, *, pictures: bool) -> str:
    """Ask for all of a scene; each picture of others costs Stash a query more."""
    texts = ("code", "details", "director", "rating100", "organized")
    parts = [_entry(dialect), dialect.among("Scene", *texts)]
    image = {
        kind: dialect.among(kind, "image_path") if pictures else ""
        for kind in ("Studio", "Performer")
    }
    above = pictures and dialect.has("Studio.parent_studio")
    asked = {
        "paths": "screenshot" if dialect.has("ScenePathsType.screenshot") else "",
        "studio": f"id name {image['Studio']}"
        + (" parent_studio { name }" if above else ""),
        "tags": "id name",
        "performers": f"id name {image['Performer']}",
        "stash_ids": "endpoint stash_id",
    }
    parts += [
        f"{name} {{ {fields} }}"
        for name, fields in asked.items()
        if fields and dialect.has(f"Scene.{name}")
    ]
    if dialect.has_groups:  # in the order of Stash
        name = dialect.group
        parts.append(f"groups: {name}s {{ group: {name} {{ id name }} }}")
    return f" fragment SceneParts on Scene {{ {' '.join(parts)} }}"


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
def entries(dialect: Dialect) -> GraphQLRequest:
    """Read one page of a listing, cheap fields only."""
    return gql(
        f"""
        query Stash2PlexEntries($filter: FindFilterType, $scenes: SceneFilterType) {{
          findScenes(filter: $filter, scene_filter: $scenes) {{
            scenes {{ {_entry(dialect)} }}
          }}
        }}
        """
    )


SCENE_IDS = gql(
    """
    query Stash2PlexIds($filter: FindFilterType, $scenes: SceneFilterType) {
      findScenes(filter: $filter, scene_filter: $scenes) { scenes { id } }
    }
    """
)
FOLDERS = gql(
    """
    query Stash2PlexFolders($filter: FindFilterType) {
      findFolders(filter: $filter) { folders { id path } }
    }
    """
)


@lru_cache(maxsize=8)
def files(dialect: Dialect) -> GraphQLRequest:
    """Read one page of files on their own."""
    return gql(
        f"""
        query Stash2PlexFiles($filter: FindFilterType, $files: FileFilterType) {{
          findFiles(filter: $filter, file_filter: $files) {{
            files {{ {_file(dialect)} }}
          }}
        }}
        """
    )


def _file(dialect: Dialect) -> str:
    size = dialect.among("VideoFile", "size")
    return f"path updated_at {size} fingerprints {{ type value }}"


@lru_cache(maxsize=64)
def scenes_by_hash(dialect: Dialect, count: int, *, whole: bool) -> GraphQLRequest:
    """Read the scenes of *count* oshashes, variables ``h0``… and answers ``s0``….

    The *whole* of them with where all pictures are, or what a listing tells.
    """
    parts = _parts(dialect, pictures=True) if whole else _entry_parts(dialect)
    variables = ", ".join(f"$h{number}: String" for number in range(count))
    fields = " ".join(
        f"s{number}: findSceneByHash(input: {{ oshash: $h{number} }})"
        " { ...SceneParts }"
        for number in range(count)
    )
    return gql(f"query Stash2PlexHashes({variables}) {{ {fields} }}" + parts)


@lru_cache(maxsize=16)
def look(dialect: Dialect, *, counted: bool, paths: bool) -> GraphQLRequest:
    """Read in one request what changed since, and the newest of everything.

    Where it is *counted*, how many scenes there are, and which have not just one file,
    with the *paths* of theirs.
    """
    count = "count" if counted else ""
    scenes = "scenes: findScenes(filter: $page, scene_filter: $scenes)"
    fields = [
        f"{scenes} {{ scenes {{ {_entry(dialect)} }} }}",
        f"newest_scene: findScenes(filter: $newest) {{ {count} scenes {{ id }} }}",
    ]
    variables = ["$page: FindFilterType", "$scenes: SceneFilterType"]
    if dialect.finds_files:
        found = "files: findFiles(filter: $page, file_filter: $files)"
        fields.append(f"{found} {{ files {{ {_file(dialect)} }} }}")
        variables.append("$files: FileFilterType")
    if counted and dialect.filters("file_count"):
        uneven = "{ file_count: { value: 1, modifier: NOT_EQUALS } }"
        fields.append(
            f"uneven: findScenes(filter: $many, scene_filter: {uneven})"
            f" {{ scenes {{ id {'files { path }' if paths else ''} }} }}"
        )
        variables.append("$many: FindFilterType")
    if dialect.has("Query.jobQueue"):
        fields.append("jobs: jobQueue { description }")
    for kind in dialect.listed:
        own = dialect.kind(kind)
        name = own.capitalize()
        variables.append(f"${kind}s: {name}FilterType")
        found = f"find{name}s(filter: $parts, {own}_filter: ${kind}s)"
        newest = f"find{name}s(filter: $newest)"
        fields += [
            f"{kind}s: {found} {{ parts: {own}s {{ {_part(dialect, name)} }} }}",
            f"newest_{kind}: {newest} {{ count parts: {own}s {{ id }} }}",
        ]
    if dialect.listed:
        variables.append("$parts: FindFilterType")
    variables.append("$newest: FindFilterType")
    return gql(f"query Stash2PlexLook({', '.join(variables)}) {{ {' '.join(fields)} }}")


def _part(dialect: Dialect, name: str) -> str:
    return f"id updated_at {dialect.among(name, 'created_at')}"


COUNT = gql(
    """
    query Stash2PlexCount($scenes: SceneFilterType) {
      findScenes(filter: { per_page: 0, sort: "id" }, scene_filter: $scenes) { count }
    }
    """
)


@lru_cache(maxsize=16)
def changed_parts(dialect: Dialect, kind: str) -> GraphQLRequest:
    """Read one page of performers, studios, tags, groups or movies."""
    name = kind.capitalize()
    return gql(
        f"""
        query Stash2PlexParts($filter: FindFilterType, $parts: {name}FilterType) {{
          found: find{name}s(filter: $filter, {kind}_filter: $parts) {{
            parts: {kind}s {{ {_part(dialect, name)} }}
          }}
        }}
        """
    )


@lru_cache(maxsize=64)
def studios_and_groups_named(dialect: Dialect, count: int) -> GraphQLRequest:
    """Read the studios and groups with *count* names, in variables ``n0``, ``n1``.

    Answers are ``s0`` and ``g0``, and so on; the name is compared with LIKE. What
    cannot be listed is left out.
    """
    variables = ", ".join(f"$n{number}: String!" for number in range(count))
    fields = " ".join(
        f"{kind[0]}{number}: {_listing(dialect.kind(kind), number)}"
        for number in range(count)
        for kind in dialect.named
    )
    return gql(f"query Stash2PlexNames({variables}) {{ {fields} }}")


def _listing(kind: str, number: int) -> str:
    return (
        f"find{kind.capitalize()}s(filter: {{ per_page: 20 }},"
        f" {kind}_filter: {{ name: {{ value: $n{number}, modifier: EQUALS }} }})"
        f" {{ parts: {kind}s {{ name }} }}"
    )


SCANS = gql("subscription Stash2PlexScans { scanCompleteSubscribe }")
JOBS = gql("subscription Stash2PlexJobs { jobsSubscribe { type job { description } } }")
LOG = gql("subscription Stash2PlexLog { loggingSubscribe { message } }")
