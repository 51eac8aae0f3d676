"""Reading the settings: one TOML file, any value of which the environment overrides.

``STASH2PLEX_PLEX__TOKEN=…`` beats ``token`` under ``[plex]``, and
``STASH2PLEX_PLEX__TOKEN_FILE=/run/secrets/token`` reads the value from a file. A blank
variable counts as unset: a compose file passes on what nobody gave a value to. Whatever
is wrong leaves as one `ConfigError` that names file, key, value and remedy.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_settings import EnvSettingsSource

from stash2plex.config import ENV_PREFIX, Settings
from stash2plex.errors import ConfigError
from stash2plex.plainly import plainly
from stash2plex.secret_file import read_secret

DEFAULT_FILE = "config.toml"
CONFIG_VARIABLE = "STASH2PLEX_CONFIG"

_FILE_SUFFIX = "_FILE"
# Variables with our prefix that are not settings.
_NOT_SETTINGS = frozenset({CONFIG_VARIABLE})
# What Kubernetes sets in every container beside a Service of a name like ours, see
# https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
_SERVICE_LINK = re.compile(
    r"(?:.*_)?(?:SERVICE_HOST|SERVICE_PORT(?:_.+)?|PORT_\d+_(?:TCP|UDP|SCTP)(?:_.+)?)"
)
_SERVICE_PORT = re.compile(r"(?:.*_)?PORT")
_SERVICE_URL = re.compile(r"(?:tcp|udp|sctp)://")
_QUOTES = "\"'"
# So much of a wrong value is quoted.
_SHOWN = 80


def load(path: Path | None, environment: Mapping[str, str]) -> Settings:
    """Read the TOML file at *path* and let *environment* override it.

    Without a path, ``config.toml`` is read if it is there. Relative paths in the
    file start at its folder. Raises `ConfigError`.
    """
    named = path is not None
    path = path or Path(DEFAULT_FILE)
    table = _read_toml(path, required=named)
    overrides = from_environment(environment)
    try:
        settings = Settings(**_merged(table, overrides))
    except ValidationError as error:
        raise ConfigError(_explained(error, path, table, environment)) from error
    data_dir = path.absolute().parent / settings.server.data_dir.expanduser()
    server = settings.server.model_copy(update={"data_dir": data_dir})
    roots = tuple(
        root.model_copy(
            update={"here": path.absolute().parent / root.here.expanduser()}
        )
        for root in settings.provider.media_roots
    )
    provider = settings.provider.model_copy(update={"media_roots": roots})
    return settings.model_copy(update={"server": server, "provider": provider})


def _read_toml(path: Path, *, required: bool) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        if not required:
            return {}
        msg = (
            f"{path}: no such file; have 'stash2plex init' write one, or correct"
            " --config / STASH2PLEX_CONFIG"
        )
        raise ConfigError(msg) from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text; save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        msg = f"{path}: is not valid TOML: {error}"
        raise ConfigError(msg) from error


def from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what STASH2PLEX_… variables set, as tables; raises `ConfigError`."""
    values: dict[str, str] = {}
    given = {
        name: value for name, value in environment.items() if _is_ours(name, value)
    }
    for name, value in given.items():
        _refuse_quotes(name, value)
        if not name.endswith(_FILE_SUFFIX):
            values[name] = value
    for name, file in given.items():
        target = name.removesuffix(_FILE_SUFFIX)
        if target == name or target in values:
            continue
        if value := _read_secret(name, Path(file)):  # what is blank is unset here too
            values[target] = value
    _refuse_unknown(values)
    for name, value in values.items():
        try:
            _Environment({name: value})()
        except ValueError as error:
            msg = f"""environment: {name}: must be JSON, such as '["One", "Two"]'"""
            raise ConfigError(msg) from error
    return _Environment(values)()


def _is_ours(name: str, value: str) -> bool:
    """Whether a variable is a setting, however misspelt."""
    if not name.startswith(ENV_PREFIX) or name in _NOT_SETTINGS or not value.strip():
        return False
    rest = name.removeprefix(ENV_PREFIX)
    if "__" in rest:
        return True
    is_link = _SERVICE_LINK.fullmatch(rest) or (
        _SERVICE_PORT.fullmatch(rest) and _SERVICE_URL.match(value)
    )
    return not is_link


def _refuse_quotes(name: str, value: str) -> None:
    """Raise `ConfigError` for a value that still has the quotes it was written in."""
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in _QUOTES:
        msg = (
            f"environment: {name}: the value is in quotes, which count; leave them out"
        )
        raise ConfigError(msg)


class _Environment(EnvSettingsSource):
    """pydantic's own reading of nested variables, from a mapping of ours."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name.lower(): value for name, value in values.items()}
        super().__init__(Settings)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return self._values


def _read_secret(name: str, file: Path) -> str:
    try:
        value = read_secret(file)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        msg = f"environment: {name}={file}: cannot be read: {reason}"
        raise ConfigError(msg) from error
    _refuse_quotes(f"{name}={file}", value)
    return value


def _refuse_unknown(values: Mapping[str, str]) -> None:
    for name in values:
        section, _, rest = name.removeprefix(ENV_PREFIX).lower().partition("__")
        if section not in Settings.model_fields:
            raise ConfigError(
                f"environment: {name}: there is no section {section!r}; sections are "
                f"{', '.join(Settings.model_fields)}"
            )
        if not rest and section != "path_rules":
            raise ConfigError(
                f"environment: {name}: name a key too, as in {ENV_PREFIX}"
                f"{section.upper()}__KEY"
            )


def _merged(table: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(table)
    for key, value in over.items():
        known = merged.get(key)
        if isinstance(known, dict) and isinstance(value, dict):
            merged[key] = _merged(known, value)
        else:
            merged[key] = value
    return merged


def _explained(
    error: ValidationError,
    path: Path,
    table: dict[str, Any],
    environment: Mapping[str, str],
) -> str:
    return "\n".join(
        _one_problem(problem, path, table, environment)
        for problem in error.errors(include_url=False)
    )


def _one_problem(
    problem: Any,
    path: Path,
    table: dict[str, Any],
    environment: Mapping[str, str],
) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    origin = _origin(problem["loc"], path, table, environment)
    message = plainly(problem, _table_of(problem["loc"]))
    if problem["loc"] == ("path_rules",) and problem["type"] == "tuple_type":
        message = "must be a list of tables, each headed [[path_rules]]"
    if problem["type"] == "extra_forbidden":
        known = ", ".join(_siblings(problem["loc"]))
        return f"{origin}: {key}: unknown key; known here: {known}"
    if not key:
        return f"{origin}: {message}"
    shown = "" if _is_secret(key) or problem["type"] == "missing" else _shown(problem)
    return f"{origin}: {key}{shown}: {message}"


def _table_of(loc: tuple[Any, ...]) -> str:
    name = str(loc[0]) if loc else ""
    return f"a table, [[{name}]]" if name == "path_rules" else f"a table, [{name}]"


def _shown(problem: Any) -> str:
    text = repr(problem["input"])
    if "://" in text and ("@" in text or "?" in text):
        return ""  # there may be a password in it
    return f" = {text if len(text) < _SHOWN else text[: _SHOWN - 3] + '...'}"


def _is_secret(key: str) -> bool:
    return key.rpartition(".")[2] in {"token", "api_key", "secret"}


def _origin(
    loc: tuple[Any, ...],
    path: Path,
    table: dict[str, Any],
    environment: Mapping[str, str],
) -> str:
    name = ENV_PREFIX + "__".join(str(part).upper() for part in loc)
    for candidate in (name, name + _FILE_SUFFIX):
        if candidate in environment:
            return f"environment: {candidate}"
    return str(path)


def _siblings(loc: tuple[Any, ...]) -> list[str]:
    """Return the keys that are known where the unknown key *loc* was found."""
    model: type[BaseModel] = Settings
    for part in loc[:-1]:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation
        if not isinstance(annotation, type):
            annotation = get_args(annotation)[0]  # a list of tables
        if issubclass(annotation, BaseModel):
            model = annotation
    return list(model.model_fields)
