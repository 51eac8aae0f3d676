"""What Stash says of variables that do not fit its schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    NonNullTypeNode,
    OperationDefinitionNode,
    is_input_type,
    is_required_input_field,
    type_from_ast,
)

_CODE = {"code": "GRAPHQL_VALIDATION_FAILED"}
_GO_NAMES = {dict: "map", list: "slice", bool: "bool", float: "string"}
_SCALARS: Mapping[str, tuple[type, ...]] = {
    "ID": (str, int),
    "String": (str,),
    "Int": (int, str),  # a number as text is taken too
    "Boolean": (bool,),
}
_Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Misfit:
    """The error as it is sent; *waits* if it shows only as the question is answered."""

    shown: dict[str, Any]
    waits: bool = False


def misfit_of(
    schema: GraphQLSchema,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
) -> Misfit | None:
    """Return the first misfit among the variables of an operation, if any."""
    for definition in operation.variable_definitions or ():
        name = definition.variable.name.value
        path: _Path = ("variable", name)
        if name not in variables:
            if isinstance(definition.type, NonNullTypeNode):
                return _misfit("must be defined", path)
            continue
        kind = type_from_ast(schema, definition.type)
        if kind is not None and is_input_type(kind):
            found = next(_of_value(variables[name], kind, path), None)
            if found:
                return found
    return None


def _misfit(message: str, path: _Path) -> Misfit:
    return Misfit({"message": message, "path": list(path), "extensions": _CODE})


def _of_value(value: Any, kind: GraphQLInputType, path: _Path) -> Iterator[Misfit]:
    match kind:
        case GraphQLNonNull():
            if value is None:
                yield _misfit("cannot be null", path)
            else:
                yield from _of_value(value, kind.of_type, path)
        case _ if value is None:
            return
        case GraphQLList():
            for number, one in enumerate(value if isinstance(value, list) else [value]):
                yield from _of_value(one, kind.of_type, (*path, number))
        case GraphQLInputObjectType() if isinstance(value, dict):
            yield from _of_object(value, kind, path)
        case GraphQLEnumType():
            yield from _of_enum(str(value), kind, path)
        case _:
            fitting = _SCALARS.get(str(kind))
            if fitting and (
                not isinstance(value, fitting)
                or (isinstance(value, bool) and bool not in fitting)
            ):
                called = _GO_NAMES.get(type(value), type(value).__name__)
                yield _misfit(f"cannot use {called} as {kind}", path)


def _of_object(
    value: dict[str, Any], kind: GraphQLInputObjectType, path: _Path
) -> Iterator[Misfit]:
    for name in value:
        if name not in kind.fields:
            yield _misfit("unknown field", (*path, name))
    for name, field in kind.fields.items():
        if name in value:
            yield from _of_value(value[name], field.type, (*path, name))
        elif is_required_input_field(field):
            yield _misfit("must be defined", (*path, name))


def _of_enum(value: str, kind: GraphQLEnumType, path: _Path) -> Iterator[Misfit]:
    message = f"{value} is not a valid {kind.name}"
    if value.upper() not in kind.values:
        yield _misfit(message, path)
    elif value not in kind.values:  # the first look ignores case
        shown = {"message": message, "path": ["findScenes", *path[1:]]}
        yield Misfit(shown, waits=True)
