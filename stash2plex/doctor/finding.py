"""What the doctor says: one thing that was looked at."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; *code* is stable, *fix* empty when all is well.

    *steps* are lines to follow when the fix takes more than one.
    """

    code: str
    level: Level
    message: str
    fix: str = ""
    steps: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)
