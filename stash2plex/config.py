"""The settings: what can be configured, with defaults, limits and descriptions.

Each part of the daemon is handed its own section. `stash2plex.config_file` reads them
from the TOML file and the environment; the descriptions are what
``config.example.toml`` and ``docs/configuration.md`` say.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from stash2plex import cron
from stash2plex.paths import PathMap, RuleError

ENV_PREFIX = "STASH2PLEX_"

# How often both libraries may be compared, and how much of them.
INTERVALS = ("never", "hourly", "daily", "weekly")
Scope = Literal["all", "24h", "7d"]
_ROOT = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")
_NAME = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*")
_PATH_PART = re.compile(r"[A-Za-z0-9._~-]*")
_IDENTIFIER = re.compile(r"tv\.plex\.agents\.custom(?:\.[A-Za-z0-9]+)+")
# First parts of paths that the daemon serves itself.
_TAKEN = ("api", "img", "livez", "readyz", "metrics", "plugin")


def checked_url(value: str) -> str:
    """Return the base URL of a server without a slash at its end; or ValueError."""
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be a URL such as http://192.168.1.5:PORT")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError("must be a plain URL without ?, # or a user name")
    _ = parts.port  # raises ValueError for a port that is none
    return value.rstrip("/")


# Pages of Stash whose address somebody may have copied; and those that may as well be
# somebody's base path, unless something follows that no base path has.
_STASH_PAGE = re.compile(
    r"/(?:graphql|playground|settings|login|logout|setup|migrate)(?:/.*)?$"
)
_LISTING = re.compile(
    r"/(?:scenes|images|groups|movies|markers|galleries|performers|studios|tags)"
    r"(?:/\d+.*)?/?$"
)


def checked_stash_url(value: str) -> str:
    """Return the base URL of a Stash, whichever of its pages was given."""
    parts = urlsplit(value.strip())
    path = _STASH_PAGE.sub("", parts.path)
    if parts.query or re.search(r"/\d+", path):
        path = _LISTING.sub("", path)
    if path != parts.path:
        parts = parts._replace(path=path, query="", fragment="")
    return checked_url(parts.geturl())


Url = Annotated[str, AfterValidator(checked_url)]
StashUrl = Annotated[str, AfterValidator(checked_stash_url)]
OptionalUrl = Annotated[str, AfterValidator(lambda url: url and checked_url(url))]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A table of the TOML file; an unknown key is an error, not a shrug."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSettings(Section):
    """Where the daemon listens and keeps what must survive."""

    # A container must be reachable from outside.
    host: str = Field("0.0.0.0", description="address to listen on")  # noqa: S104
    port: Annotated[int, Field(ge=1, le=65535)] = Field(
        9898, description="port to listen on"
    )
    token: SecretStr = Field(
        SecretStr(""),
        description="bearer token of the API; empty: made and kept in data_dir/token",
    )
    data_dir: Path = Field(
        Path("data"),
        description="the SQLite file and everything else that must survive",
    )
    allowed_hosts: tuple[str, ...] = Field(
        (),
        description="further names, such as media.example.com, by which the provider"
        " and /metrics may be called",
    )

    @field_validator("allowed_hosts")
    @classmethod
    def _are_names(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if not _NAME.fullmatch(name):
                raise ValueError(
                    f"{name!r} must be a name such as media.example.com, without"
                    " http:// and port"
                )
        return tuple(name.lower() for name in names)

    @field_validator("token")
    @classmethod
    def _printable(cls, token: SecretStr) -> SecretStr:
        return _header_value(token)


class StashSettings(Section):
    """How to reach Stash."""

    url: StashUrl = Field(
        "http://127.0.0.1:9999", description="as seen from the daemon"
    )
    api_key: SecretStr = Field(
        SecretStr(""),
        description="Settings > Security > API Key; empty when Stash has none",
    )
    timeout: Seconds = Field(10, description="seconds for one request")
    verify_tls: bool = Field(
        True, description="false accepts a self-signed certificate"
    )
    page_size: Annotated[int, Field(ge=10, le=5000)] = Field(
        500, description="scenes per listing page"
    )
    poll_interval: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        60,
        description="seconds between looks for changes that fire no hook; 0: never",
    )

    @field_validator("api_key")
    @classmethod
    def _printable(cls, key: SecretStr) -> SecretStr:
        return _header_value(key)


# An edit of one short field needs nearly as much, bytes.
_LINE = 1000


class PlexSettings(Section):
    """How to reach Plex, and how hard to lean on it."""

    url: Url = Field("http://127.0.0.1:32400", description="as seen from the daemon")
    token: SecretStr = Field(
        SecretStr(""), description="X-Plex-Token of the server's owner; required"
    )
    timeout: Seconds = Field(30, description="seconds for one request")
    libraries: tuple[str, ...] = Field(
        (), description="titles of movie libraries; empty: every movie library"
    )
    concurrency: Annotated[int, Field(ge=1, le=16)] = Field(
        4, description="requests in flight towards Plex"
    )
    pace: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        0, description="most items written per second; 0: as fast as Plex answers well"
    )
    verify_tls: bool = Field(
        True, description="false accepts a self-signed certificate"
    )
    max_request_line: Literal["auto"] | Annotated[int, Field(ge=_LINE)] = Field(
        "auto", description="bytes of one request's target; auto learns them per server"
    )
    notifications: bool = Field(
        True, description="listen to the server's notification socket"
    )
    scan_new_scenes: bool = Field(
        False, description="ask Plex to scan the folder of a scene it does not have"
    )

    @field_validator("max_request_line", mode="before")
    @classmethod
    def _auto_or_bytes(cls, value: Any) -> Any:
        text = str(value).strip()
        if text == "auto" or (
            text.isascii() and text.isdecimal() and int(text) >= _LINE
        ):
            return text if text == "auto" else int(text)
        raise ValueError(f'must be "auto" or a number of bytes of at least {_LINE}')

    @property
    def longest_target(self) -> int | None:
        """The number of `max_request_line`, None for ``auto``."""
        line = self.max_request_line
        return None if line == "auto" else line

    @field_validator("token")
    @classmethod
    def _printable(cls, token: SecretStr) -> SecretStr:
        return _header_value(token)


class PathRule(Section):
    """How a path of one side is found on the other; see ``docs/path-rules.md``."""

    name: str = Field(min_length=1, description="shown in logs and by `paths test`")
    stash: str = Field(description="regular expression for Stash's spelling")
    plex: str = Field(description="regular expression for Plex's spelling")
    stash_template: str | None = Field(
        None, description="how to write Stash's path when its expression cannot tell"
    )
    plex_template: str | None = Field(
        None, description="how to write Plex's path when its expression cannot tell"
    )
    ignore_case: bool = Field(False, description="compare without regard to case")
    example: tuple[str, str] | None = Field(
        None, description="a pair of paths that must map both ways, checked at start"
    )


class MatchSettings(Section):
    """How the Plex item of a scene is found."""

    strict: bool = Field(
        True, description="write nothing when several items or scenes are candidates"
    )
    fallback: Literal["basename", "none"] = Field(
        "basename", description="when no path matches: file name and size, or nothing"
    )
    not_found: Literal["retry", "skip"] = Field(
        "retry", description="skip: Plex is a deliberate subset, neither retry nor gap"
    )


class SyncFields(Section):
    """Which fields are written."""

    title: bool = Field(True, description="title, else the file's name")
    summary: bool = Field(True, description="details")
    studio: bool = Field(True, description="studio")
    date: bool = Field(True, description="release date")
    rating: bool = Field(True, description="rating, as the owner's star rating")
    performers: bool = Field(True, description="performers, as actors")
    tags: bool = Field(True, description="tags, as genres")
    director: bool = Field(True, description="director")
    collections: bool = Field(True, description="studio and groups, as collections")
    tagline: bool = Field(True, description="studio code, as tagline")
    content_rating: bool = Field(True, description="provider.content_rating")
    poster: bool = Field(True, description="cover, in provider.poster shape")
    background: bool = Field(True, description="cover, as it is")


class SyncSettings(Section):
    """What is written to Plex, and which scenes take part."""

    enabled: bool = Field(True, description="master switch: false writes nothing")
    mode: Literal["mirror", "fill", "merge"] = Field(
        "mirror",
        description="mirror: Stash is the truth; fill: only what Plex lacks;"
        " merge: others' tags and people stay",
    )
    lock: bool = Field(True, description="lock what we write, so a refresh keeps it")
    respect_locks: bool = Field(
        False, description="leave fields alone that a human locked in Plex"
    )
    max_tags: Annotated[int, Field(ge=10, le=500)] = Field(
        100, description="most genres per item, 10 to 500"
    )
    require_organized: bool = Field(False, description="only scenes marked organized")
    require_stash_id: bool = Field(False, description="only scenes with a stash-box id")
    exclude_tag: str = Field("", description="leave scenes with this tag alone")
    fields: SyncFields = Field(default_factory=SyncFields)


class QueueSettings(Section):
    """When a job is tried again, and when it is given up."""

    max_attempts: Count = Field(5, description="tries before a dead letter")
    retry_base: Seconds = Field(5, description="first back-off, seconds")
    retry_cap: Seconds = Field(80, description="longest back-off, seconds")
    not_found_attempts: Count = Field(
        12, description="look-ups before a scene that Plex lacks becomes a gap"
    )
    not_found_base: Seconds = Field(30, description="first wait for Plex, seconds")
    not_found_cap: Seconds = Field(600, description="longest wait for Plex, seconds")
    dead_retention_days: Annotated[float, Field(gt=0, allow_inf_nan=False)] = Field(
        30, description="days until a dead letter is forgotten"
    )


class OutageSettings(Section):
    """When a server counts as down, and how it is asked whether it is back."""

    failure_threshold: Count = Field(
        5, description="consecutive failures that open the circuit breaker"
    )
    open_seconds: Seconds = Field(
        60,
        description="longest wait without a successful probe before one trial delivery",
    )
    probe_min: Seconds = Field(5, description="first wait between health probes")
    probe_max: Seconds = Field(60, description="longest wait between health probes")
    ramp_start: Seconds = Field(5, description="jobs per second once Plex is back")
    ramp_end: Seconds = Field(20, description="jobs per second at the end of the ramp")
    ramp_seconds: Seconds = Field(300, description="length of the ramp, seconds")


class ReconcileSettings(Section):
    """When both libraries are compared."""

    interval: str = Field(
        "daily", description="never, hourly, daily, weekly, or a cron line"
    )
    scope: Scope = Field(
        "all", description="what the schedule compares: all, 24h or 7d"
    )
    on_start: bool = Field(
        True, description="compare 24h at start if the last run is over an hour old"
    )
    missing: bool = Field(True, description="report scenes that Plex lacks")
    timezone: str = Field(
        "", description="of cron lines and times of day; empty: the system's"
    )

    @field_validator("interval")
    @classmethod
    def _interval_is_known(cls, interval: str) -> str:
        if interval not in INTERVALS:
            try:
                cron.either(interval)
            except ValueError as error:
                msg = f"must be {', '.join(INTERVALS)} or a cron line: {error}"
                raise ValueError(msg) from None
        return interval

    @field_validator("timezone")
    @classmethod
    def _zone_is_known(cls, name: str) -> str:
        try:
            _ = name and ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("must be a time zone such as Europe/Berlin") from None
        return name


class MediaRoot(Section):
    """A folder of Plex that the daemon can read itself."""

    plex: str = Field(min_length=1, description="the folder as Plex sees it")
    here: Path = Field(description="where the daemon sees it; reading is enough")


class ProviderSettings(Section):
    """The metadata provider that Plex asks, and what push has in common with it."""

    enabled: bool = Field(True, description="serve the metadata provider")
    path: str = Field("/plex", description="path of the root that is added in Plex")
    secret: SecretStr = Field(
        SecretStr(""), description="if set, the root is path/secret and nothing else"
    )
    identifier: str = Field(
        "tv.plex.agents.custom.stash2plex",
        description="name of the provider in Plex's database; never change it later",
    )
    title: str = Field(
        "Stash2Plex", min_length=1, description="name of the provider in Plex's UI"
    )
    public_url: OptionalUrl = Field(
        "",
        description="base of image URLs handed to Plex; empty: as Plex called us",
    )
    poster: Literal["crop", "blur", "letterbox", "original"] = Field(
        "crop", description="how a 16:9 picture becomes a 2:3 poster"
    )
    content_rating: str = Field("XXX", description="content rating of every scene")
    media_roots: tuple[MediaRoot, ...] = Field(
        (),
        description="folders that the daemon can read itself, for matching by hash:"
        ' {plex = "/media", here = "/mnt/media"}',
    )
    image_cache_mb: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        500, description="disk cache of shaped pictures, megabytes; 0: none"
    )

    @field_validator("path")
    @classmethod
    def _path_is_free(cls, path: str) -> str:
        path = path.rstrip("/")
        if not _ROOT.fullmatch(path):
            raise ValueError("must be a path such as /plex")
        if path.split("/")[1] in _TAKEN:
            raise ValueError(f"is taken; choose another than {', '.join(_TAKEN)}")
        return path

    @field_validator("secret")
    @classmethod
    def _fits_into_a_path(cls, secret: SecretStr) -> SecretStr:
        if not _PATH_PART.fullmatch(secret.get_secret_value()):
            raise ValueError("must consist of letters, digits and . _ ~ -")
        return secret

    @field_validator("identifier")
    @classmethod
    def _plex_takes_it(cls, identifier: str) -> str:
        if not _IDENTIFIER.fullmatch(identifier):
            raise ValueError(
                "must start with tv.plex.agents.custom. and go on with letters,"
                " digits and dots"
            )
        return identifier


class LogSettings(Section):
    """What the log says, and how."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="least level shown"
    )
    format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto: console on a terminal, else json"
    )
    obfuscate_paths: bool = Field(
        False, description="show a stable word for each folder, file name and title"
    )


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
    )

    server: ServerSettings = Field(default_factory=ServerSettings)
    stash: StashSettings = Field(default_factory=StashSettings)
    plex: PlexSettings = Field(default_factory=PlexSettings)
    path_rules: tuple[PathRule, ...] = ()
    match: MatchSettings = Field(default_factory=MatchSettings)
    sync: SyncSettings = Field(default_factory=SyncSettings)
    queue: QueueSettings = Field(default_factory=QueueSettings)
    outage: OutageSettings = Field(default_factory=OutageSettings)
    reconcile: ReconcileSettings = Field(default_factory=ReconcileSettings)
    provider: ProviderSettings = Field(default_factory=ProviderSettings)
    log: LogSettings = Field(default_factory=LogSettings)

    @model_validator(mode="after")
    def _rules_work(self) -> Self:
        try:
            PathMap(self.path_rules)
        except RuleError as error:
            raise ValueError(str(error)) from error
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take nothing but what is handed in: `config_file` reads the environment."""
        return (init_settings,)

    def secrets(self) -> Iterable[str]:
        """Return every value that must reach no log, URL or error."""
        for secret in (
            self.server.token,
            self.stash.api_key,
            self.plex.token,
            self.provider.secret,
        ):
            if secret.get_secret_value():
                yield secret.get_secret_value()


def _header_value(secret: SecretStr) -> SecretStr:
    """Check that *secret* can be sent in an HTTP header."""
    text = secret.get_secret_value()
    if not (text.isascii() and text.isprintable()) or text != text.strip():
        raise ValueError("must be printable ASCII without spaces around it")
    return secret
