"""What the bodies and queries of the API have in common."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from stash2plex.errors import InvalidRequest
from stash2plex.plainly import plainly

M = TypeVar("M", bound=BaseModel)


class Page(BaseModel):
    """A part of a list."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    offset: Annotated[int, Field(ge=0, le=2**31)] = 0


def parsed(model: type[M], found: Any, hint: str = "") -> M:
    """Read a body or query; raises `InvalidRequest` saying what is wrong with it."""
    try:
        return model.model_validate(found)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in problem["loc"]) or "body"
        raise InvalidRequest(
            f"{where}: {plainly(problem, 'a JSON object')}{hint}"
        ) from None
