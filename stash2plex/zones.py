"""The time zone of the machine, whatever TZ says."""

from __future__ import annotations

import os
from datetime import UTC, tzinfo

import tzlocal


def system_zone() -> tuple[tzinfo, str | None]:
    """Return the machine's time zone, and what is wrong with it, None if nothing is.

    The C library takes a TZ that it does not know for UTC, and so do we. Reads files.
    """
    try:
        # Not what was found before: TZ may have been corrected.
        return tzlocal.reload_localzone(), None
    except (LookupError, ValueError, OSError) as error:
        name = os.environ.get("TZ", "")
        if not name:
            return UTC, f"the system's time zone cannot be read ({_line(error)})"
        return UTC, f"TZ = {name!r} is no time zone"


def _line(error: Exception) -> str:
    """Return what *error* says, in one line without quotes of a `KeyError`."""
    return " ".join(str(error.args[0] if error.args else error).split())
