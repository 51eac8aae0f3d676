"""The tables of settings in docs/configuration.md: ``python -m tests.docs.tables``.

They are made from the model and stand in the page, so that it can be read as it is; a
test fails when they are not what this makes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from stash2plex.config import PathRule, Settings
from tests.docs.reading import DOCS

PAGE = DOCS / "configuration.md"
START, END = "<!-- tables: start -->\n", "<!-- tables: end -->\n"
_RULES = "path_rules"


def sections(
    model: type[BaseModel] = Settings, prefix: str = ""
) -> dict[str, type[BaseModel]]:
    """Every table of the configuration, by its name."""
    found: dict[str, type[BaseModel]] = {}
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found[prefix + name] = kind
            found |= sections(kind, f"{prefix}{name}.")
    return found


def keys() -> list[tuple[str, Any, str]]:
    """Every key, its default, and its description."""
    return [
        (f"{section}.{name}", default_of(model, name), field.description or "")
        for section, model in sections().items()
        for name, field in model.model_fields.items()
        if field.default is not PydanticUndefined
    ]


def default_of(model: type[BaseModel], name: str) -> Any:
    """Return the default of a key as it stands in a file."""
    default = model.model_fields[name].default
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    if isinstance(default, Path):
        return str(default)
    return list(default) if isinstance(default, tuple) else default


def tables() -> str:
    """Return the sections of the page."""
    made = [_section(name, model) for name, model in sections().items()]
    rules = "\n".join(
        f"| `{name}` | {field.description} |"
        for name, field in PathRule.model_fields.items()
    )
    made.append(
        f"## `[[{_RULES}]]`\n\n{PathRule.__doc__.partition(';')[0]}."
        " See [path rules](path-rules.md).\n\n"
        f"| key | meaning |\n|---|---|\n{rules}\n"
    )
    return "\n".join(made)


def _section(name: str, model: type[BaseModel]) -> str:
    properties = model.model_json_schema()["properties"]
    rows = [
        f"| `{name}.{key}` | `{json.dumps(default_of(model, key))}` |"
        f" {_allowed(properties[key])} | {field.description} |"
        for key, field in model.model_fields.items()
        if field.default is not PydanticUndefined
    ]
    body = "\n".join(rows)
    return (
        f"## `[{name}]`\n\n{model.__doc__}\n\n"
        f"| key | default | allowed | meaning |\n|---|---|---|---|\n{body}\n"
    )


def _allowed(schema: dict[str, Any]) -> str:
    """Say what values a key may have, where that is not everything of its type."""
    if either := schema.get("anyOf"):
        return " or ".join(_allowed(one) for one in either)
    if choices := schema.get("enum", [schema["const"]] if "const" in schema else []):
        return ", ".join(f"`{one}`" for one in choices)
    least, most = schema.get("minimum"), schema.get("maximum")
    if least is not None and most is not None:
        return f"{least} to {most}"
    if least is not None:
        return f"{least} or more"
    if (above := schema.get("exclusiveMinimum")) is not None:
        return f"over {above}"
    return {"boolean": "`true`, `false`", "array": "a list"}.get(
        schema.get("type", ""), "text"
    )


def page() -> str:
    """Return the page with its tables as they should be."""
    text = PAGE.read_text()
    before, _, rest = text.partition(START)
    _, _, after = rest.partition(END)
    assert after, f"{PAGE.name} has no place for its tables"
    return f"{before}{START}\n{tables()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page())
