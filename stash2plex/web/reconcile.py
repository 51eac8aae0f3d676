"""The body of ``POST /api/v1/reconcile``."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

from stash2plex.config import Scope
from stash2plex.web.validation import parsed


class ReconcileRequest(BaseModel):
    """What to compare, and how; see ``docs/http-api.md``."""

    model_config = ConfigDict(extra="forbid", strict=True)

    scope: Scope = "all"
    dry_run: bool = False
    force: bool = False
    only_empty: bool = False


def parse_reconcile(body: Any) -> ReconcileRequest:
    """Read the request; raises `InvalidRequest` saying what is wrong."""
    return parsed(ReconcileRequest, {} if body is None else body)
