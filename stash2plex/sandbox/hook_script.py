"""What the script of the hooks says, without the engine that Stash runs it in.

The script is the truth; tests hold this against it, in an engine of the oldest kind.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def line_of(args: Mapping[str, Any]) -> str:
    """Return the line that the script logs when Stash runs it with *args*."""
    hook = args.get("hookContext")
    if not hook:
        nonce = str(args.get("nonce") or "")
        return _line({"type": "Plugin.Ping.Post", "id": 1, "nonce": nonce})
    said: dict[str, Any] = {"type": str(hook["type"]), "id": hook["id"]}
    fields = [str(one) for one in hook.get("inputFields") or () if one != "id"]
    if fields:
        said["fields"] = fields
    given = hook.get("input")
    if said["type"] == "Scene.Destroy.Post" and given:
        names = ("path", "oshash", "checksum")
        said["files"] = {name: str(given.get(name) or "") for name in names}
    return _line(said)


def _line(said: Mapping[str, Any]) -> str:
    text = json.dumps(said, separators=(",", ":"), ensure_ascii=False)
    return f"stash2plexd 1 {text}"
