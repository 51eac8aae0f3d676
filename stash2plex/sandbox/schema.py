"""The part of Stash's GraphQL schema that the pretend Stash serves, by release.

Written by hand after Stash's own; a query that Stash would refuse fails here too.
"""

from __future__ import annotations

from graphql import GraphQLSchema, build_schema

_COMMON = """
scalar Time
scalar Timestamp
scalar Int64
scalar PluginConfigMap
scalar Map
scalar Any

type Query {
  version: Version!
  findScene(id: ID, checksum: String): Scene
  findScenes(scene_filter: SceneFilterType, filter: FindFilterType, ids: [ID!]): FindScenesResultType!
  findPerformer(id: ID!): Performer
  findStudio(id: ID!): Studio
  findPerformers(performer_filter: PerformerFilterType, filter: FindFilterType): FindPerformersResultType!
  findStudios(studio_filter: StudioFilterType, filter: FindFilterType): FindStudiosResultType!
  findTags(tag_filter: TagFilterType, filter: FindFilterType): FindTagsResultType!
  findMovies(movie_filter: MovieFilterType, filter: FindFilterType): FindMoviesResultType!
  %(find_groups)s
  configuration: ConfigResult!
  plugins: [Plugin!]
  findJob(input: FindJobInput!): Job
  installedPackages(type: PackageType!): [Package!]!
}

type Mutation {
  sceneUpdate(input: SceneUpdateInput!): Scene
  runPluginOperation(plugin_id: ID!, args: Map): Any
  configureGeneral(input: ConfigGeneralInput!): ConfigGeneralResult!
  configurePlugin(plugin_id: ID!, input: Map!): Map!
  setPluginsEnabled(enabledMap: BoolMap!): Boolean!
  installPackages(type: PackageType!, packages: [PackageSpecInput!]!): ID!
}
input SceneUpdateInput {
  id: ID!  title: String  details: String  date: String  rating100: Int  organized: Boolean
}
scalar BoolMap
enum PackageType { Scraper Plugin }
input PackageSpecInput { id: String!  sourceURL: String! }
type Package { package_id: String!  sourceURL: String! }
type PackageSource { name: String  url: String!  local_path: String }
input PackageSourceInput { name: String  url: String!  local_path: String }
input ConfigGeneralInput { pluginPackageSources: [PackageSourceInput!] }
type ConfigGeneralResult { pluginPackageSources: [PackageSource!]! }
enum JobStatus { READY RUNNING FINISHED STOPPING CANCELLED FAILED }
type Job { id: ID!  status: JobStatus! }
input FindJobInput { id: ID! }

type Subscription { scanCompleteSubscribe: Boolean! }

type FindPerformersResultType { count: Int!  performers: [Performer!]! }
type FindStudiosResultType { count: Int!  studios: [Studio!]! }
type FindTagsResultType { count: Int!  tags: [Tag!]! }
type FindMoviesResultType { count: Int!  movies: [Movie!]! }
input PerformerFilterType { updated_at: TimestampCriterionInput }
input StudioFilterType { updated_at: TimestampCriterionInput  name: StringCriterionInput }
input TagFilterType { updated_at: TimestampCriterionInput }
input MovieFilterType { updated_at: TimestampCriterionInput  name: StringCriterionInput }

type Version { version: String  hash: String!  build_time: String! }
type Plugin { id: ID!  name: String!  version: String  enabled: Boolean! }
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
  oshash: StringCriterionInput
  stash_id_endpoint: StashIDCriterionInput
  path: StringCriterionInput
  created_at: TimestampCriterionInput
  updated_at: TimestampCriterionInput
  performers: MultiCriterionInput
  studios: HierarchicalMultiCriterionInput
  tags: HierarchicalMultiCriterionInput
  %(group_filter)s
  %(files_filter)s
}

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
  movies: [SceneMovie!]! %(movies_deprecated)s
  %(groups)s
}
type VideoFile { id: ID!  path: String!  basename: String!  size: Int64!  duration: Float!  updated_at: Time! }
type ScenePathsType { screenshot: String  preview: String  stream: String }
type Studio { id: ID!  name: String!  updated_at: Time!   image_path: String  parent_studio: Studio }
type Tag { id: ID!  name: String!  updated_at: Time! }
type Performer { id: ID!  name: String!  updated_at: Time!  disambiguation: String  image_path: String }
type StashID { endpoint: String!  stash_id: String! }
type Movie { id: ID!  name: String!  updated_at: Time! }
type SceneMovie { movie: Movie!  scene_index: Int }
%(group_types)s
"""
_WITH_GROUPS = {
    "groups": "groups: [SceneGroup!]!",
    "group_filter": "groups: HierarchicalMultiCriterionInput\n  movies: MultiCriterionInput",
    "movies_deprecated": '@deprecated(reason: "Use groups")',
    "find_groups": "findGroups(group_filter: GroupFilterType, filter: FindFilterType): FindGroupsResultType!",
    "files_filter": "files_filter: FileFilterType",
    "group_types": "type Group { id: ID!  name: String!  updated_at: Time! }\n"
    "type FindGroupsResultType { count: Int!  groups: [Group!]! }\n"
    "input GroupFilterType { updated_at: TimestampCriterionInput  name: StringCriterionInput }\n"
    "input FileFilterType { updated_at: TimestampCriterionInput }\n"
    "type SceneGroup { group: Group!  scene_index: Int }",
}
_WITHOUT_GROUPS = {
    "groups": "",
    "group_filter": "movies: MultiCriterionInput",
    "movies_deprecated": "",
    "find_groups": "",
    "files_filter": "",
    "group_types": "",
}


def schema(*, has_groups: bool) -> GraphQLSchema:
    """Return the schema of a release from v0.27 on, or of one before."""
    return build_schema(_COMMON % (_WITH_GROUPS if has_groups else _WITHOUT_GROUPS))
