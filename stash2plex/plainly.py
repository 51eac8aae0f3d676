"""What pydantic finds wrong, in the words of whoever wrote it."""

from __future__ import annotations

from typing import Any

_WORDS = {
    "missing": "is missing",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "string_type": "must be text",
}
_TABLES = frozenset({"model_type", "model_attributes_type", "dict_type"})


def plainly(problem: Any, table: str) -> str:
    """Return what is wrong; *table* is what keys and values are called there."""
    kind = problem["type"]
    if kind in _TABLES:
        return f"must be {table}"
    if kind == "extra_forbidden":
        return "is not known"
    message = str(problem["msg"]).removeprefix("Value error, ")
    return _WORDS.get(kind, f"{message[:1].lower()}{message[1:]}")
