"""The part of Stash's GraphQL schema that the pretend Stash serves, by release.

Written by hand after Stash's own; a query that Stash would refuse fails here too.
What only some releases have is marked with the first that has it.
"""

from __future__ import annotations

import re
from functools import lru_cache

from graphql import GraphQLSchema, build_schema

_ALL = """
scalar Time
scalar Timestamp
scalar Int64
scalar PluginConfigMap
scalar Map
scalar Any

type Query {
  version: Version!
  systemStatus: SystemStatus!
  findScene(id: ID, checksum: String): Scene
  findScenes(scene_filter: SceneFilterType, filter: FindFilterType, ids: [ID!]): FindScenesResultType!
  findSceneByHash(input: SceneHashInput!): Scene
  findFiles(file_filter: FileFilterType, filter: FindFilterType, ids: [ID!]): FindFilesResultType!  # v0.29
  findFolders(folder_filter: FolderFilterType, filter: FindFilterType, ids: [ID!]): FindFoldersResultType!  # v0.29
  jobQueue: [Job!]
  findPerformer(id: ID!): Performer
  findStudio(id: ID!): Studio
  findPerformers(performer_filter: PerformerFilterType, filter: FindFilterType): FindPerformersResultType!
  findStudios(studio_filter: StudioFilterType, filter: FindFilterType): FindStudiosResultType!
  findTags(tag_filter: TagFilterType, filter: FindFilterType): FindTagsResultType!
  findMovies(movie_filter: MovieFilterType, filter: FindFilterType): FindMoviesResultType!
  findGroups(group_filter: GroupFilterType, filter: FindFilterType): FindGroupsResultType!  # v0.27
  configuration: ConfigResult!
  plugins: [Plugin!]
  findJob(input: FindJobInput!): Job
  installedPackages(type: PackageType!): [Package!]!
  logs: [LogEntry!]!
}

type Mutation {
  sceneUpdate(input: SceneUpdateInput!): Scene
  runPluginOperation(plugin_id: ID!, args: Map): Any  # v0.25
  configureGeneral(input: ConfigGeneralInput!): ConfigGeneralResult!
  configurePlugin(plugin_id: ID!, input: Map!): Map!
  setPluginsEnabled(enabledMap: BoolMap!): Boolean!
  installPackages(type: PackageType!, packages: [PackageSpecInput!]!): ID!
  updatePackages(type: PackageType!, packages: [PackageSpecInput!]): ID!
  uninstallPackages(type: PackageType!, packages: [PackageSpecInput!]!): ID!
  reloadPlugins: Boolean!
}
input SceneUpdateInput {
  id: ID!  title: String  details: String  date: String  rating100: Int  organized: Boolean
}
scalar BoolMap
enum PackageType { Scraper Plugin }
input PackageSpecInput { id: String!  sourceURL: String! }
type Package { package_id: String!  version: String  sourceURL: String! }
type PackageSource { name: String  url: String!  local_path: String }
input PackageSourceInput { name: String  url: String!  local_path: String }
input ConfigGeneralInput { pluginPackageSources: [PackageSourceInput!] }
type ConfigGeneralResult { pluginPackageSources: [PackageSource!]! }
enum JobStatus { READY RUNNING FINISHED STOPPING CANCELLED FAILED }
type Job { id: ID!  status: JobStatus!  description: String! }
enum JobStatusUpdateType { ADD REMOVE UPDATE }
type JobStatusUpdate { type: JobStatusUpdateType!  job: Job! }
input FindJobInput { id: ID! }

type Subscription {
  scanCompleteSubscribe: Boolean!  loggingSubscribe: [LogEntry!]!
  jobsSubscribe: JobStatusUpdate!
}
enum LogLevel { Trace Debug Info Progress Warning Error }
type LogEntry { time: Time!  level: LogLevel!  message: String! }

type FindPerformersResultType { count: Int!  performers: [Performer!]! }
type FindStudiosResultType { count: Int!  studios: [Studio!]! }
type FindTagsResultType { count: Int!  tags: [Tag!]! }
type FindMoviesResultType { count: Int!  movies: [Movie!]! }
input PerformerFilterType { updated_at: TimestampCriterionInput }
input StudioFilterType { updated_at: TimestampCriterionInput  name: StringCriterionInput }
input TagFilterType { updated_at: TimestampCriterionInput }
input MovieFilterType { updated_at: TimestampCriterionInput  name: StringCriterionInput }

enum SystemStatusEnum { SETUP NEEDS_MIGRATION OK }
type SystemStatus { status: SystemStatusEnum!  databaseSchema: Int  appSchema: Int!  os: String! }
type Version { version: String  hash: String!  build_time: String! }
type Plugin { id: ID!  name: String!  version: String  enabled: Boolean!  hooks: [PluginHook!] }
type PluginHook { name: String! }
type ConfigResult {
  general: ConfigGeneralResult!
  plugins(include: [ID!]): PluginConfigMap!
}

type FindScenesResultType { count: Int!  scenes: [Scene!]! }

enum SortDirectionEnum { ASC DESC }
input FindFilterType {
  q: String  page: Int  per_page: Int  sort: String  direction: SortDirectionEnum
}
enum CriterionModifier {
  EQUALS NOT_EQUALS GREATER_THAN LESS_THAN IS_NULL NOT_NULL
  INCLUDES_ALL INCLUDES EXCLUDES MATCHES_REGEX NOT_MATCHES_REGEX BETWEEN NOT_BETWEEN
}
input IntCriterionInput { value: Int!  value2: Int  modifier: CriterionModifier! }
input StringCriterionInput { value: String!  modifier: CriterionModifier! }
input TimestampCriterionInput { value: String!  value2: String  modifier: CriterionModifier! }
input MultiCriterionInput { value: [ID!]  modifier: CriterionModifier!  excludes: [ID!] }
input HierarchicalMultiCriterionInput {
  value: [ID!]  modifier: CriterionModifier!  depth: Int  excludes: [ID!]
}
input StashIDCriterionInput {
  endpoint: String  stash_id: String  modifier: CriterionModifier!
}
input SceneFilterType {
  AND: SceneFilterType  OR: SceneFilterType  NOT: SceneFilterType
  id: IntCriterionInput
  title: StringCriterionInput
  oshash: StringCriterionInput
  stash_id_endpoint: StashIDCriterionInput
  path: StringCriterionInput
  created_at: TimestampCriterionInput
  updated_at: TimestampCriterionInput
  performers: MultiCriterionInput
  studios: HierarchicalMultiCriterionInput
  tags: HierarchicalMultiCriterionInput
  movies: MultiCriterionInput
  groups: HierarchicalMultiCriterionInput  # v0.27
  is_missing: String
  organized: Boolean
  rating100: IntCriterionInput
  file_count: IntCriterionInput
  files_filter: FileFilterType  # v0.30
}
input FileFilterType {
  AND: FileFilterType  OR: FileFilterType  NOT: FileFilterType
  path: StringCriterionInput
  basename: StringCriterionInput
  scene_count: IntCriterionInput
  updated_at: TimestampCriterionInput
}
input FolderFilterType { path: StringCriterionInput }
input SceneHashInput { checksum: String  oshash: String }

type Scene {
  id: ID!
  title: String  code: String  details: String  director: String  date: String
  rating100: Int  organized: Boolean!
  created_at: Time!  updated_at: Time!
  files: [VideoFile!]!
  paths: ScenePathsType!
  studio: Studio
  tags: [Tag!]!
  performers: [Performer!]!
  stash_ids: [StashID!]!
  movies: [SceneMovie!]! @deprecated(reason: "Use groups")
  groups: [SceneGroup!]!  # v0.27
}
interface BaseFile {
  id: ID!  path: String!  basename: String!  size: Int64!  updated_at: Time!
  fingerprint(type: String!): String
  fingerprints: [Fingerprint!]!
}
type VideoFile implements BaseFile {
  id: ID!  path: String!  basename: String!  size: Int64!  updated_at: Time!
  fingerprint(type: String!): String
  fingerprints: [Fingerprint!]!
  duration: Float!
}
type Fingerprint { type: String!  value: String! }
type Folder { id: ID!  path: String! }
type FindFilesResultType { count: Int!  files: [BaseFile!]! }
type FindFoldersResultType { count: Int!  folders: [Folder!]! }
type ScenePathsType { screenshot: String  preview: String  stream: String }
type Studio {
  id: ID!  name: String!  created_at: Time!  updated_at: Time!  image_path: String
  parent_studio: Studio
}
type Tag { id: ID!  name: String!  created_at: Time!  updated_at: Time! }
type Performer {
  id: ID!  name: String!  created_at: Time!  updated_at: Time!  disambiguation: String
  image_path: String
}
type StashID { endpoint: String!  stash_id: String! }
type Movie { id: ID!  name: String!  created_at: Time!  updated_at: Time! }
type SceneMovie { movie: Movie!  scene_index: Int }
type Group { id: ID!  name: String!  created_at: Time!  updated_at: Time! }
type FindGroupsResultType { count: Int!  groups: [Group!]! }
input GroupFilterType { updated_at: TimestampCriterionInput  name: StringCriterionInput }
type SceneGroup { group: Group!  scene_index: Int }
"""
_MARKED = re.compile(r"^.*# v0\.(\d+)$\n", re.MULTILINE)


@lru_cache(maxsize=32)
def schema(release: str, *, without: tuple[str, ...] = ()) -> GraphQLSchema:
    """Return the schema of a *release* (`v0.27.2`), perhaps *without* some fields.

    Those are named with their types (`Scene.director`); types that nothing leads to
    any more stay.
    """
    minor = int(release.split(".")[1])
    text = _MARKED.sub(lambda m: m[0] if int(m[1]) <= minor else "", _ALL)
    for name in without:
        kind, _, field = name.partition(".")
        text = _lacking(text, kind, field)
        if kind == "VideoFile" and field != "duration":
            text = _lacking(text, "BaseFile", field)
    return build_schema(text)


def _lacking(text: str, kind: str, field: str) -> str:
    """Return *text* without one field of one type."""
    start = re.search(
        rf"^(?:type|input|interface) {kind}(?: implements \w+)? {{", text, re.MULTILINE
    )
    assert start, f"there is no type {kind}"  # noqa: S101
    end = text.index("}", start.end())
    inside = re.sub(
        rf"\b{field}(\([^)]*\))?: [\w!\[\]]+(?: @deprecated\([^)]*\))?",
        "",
        text[start.end() : end],
    )
    return text[: start.end()] + inside + text[end:]
