"""``make release VERSION=1.2.3``: sets version and date, and says what is left to do.

The version stands in the package and in the plugins' manifests, which Stash reads; a
test compares them.
"""

from __future__ import annotations

import re
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "stash2plex" / "__init__.py"
MANIFESTS = sorted((ROOT / "plugin_shim").glob("*/*.yml"))
CHANGES = ROOT / "CHANGELOG.md"


def replaced(text: str, pattern: str, by: str) -> str:
    """Return *text* with the one match of *pattern* replaced."""
    found, count = re.subn(pattern, by, text, flags=re.MULTILINE)
    assert count == 1, pattern
    return found


def release(version: str, now: datetime) -> None:
    """Write *version* wherever it stands."""
    package = replaced(
        PACKAGE.read_text(), r'^__version__ = ".*"$', f'__version__ = "{version}"'
    )
    moment = f'__released__ = "{now:%Y-%m-%d %H:%M:%S}"'
    PACKAGE.write_text(replaced(package, r'^__released__ = ".*"$', moment))
    for file in MANIFESTS:
        text = replaced(file.read_text(), r"^version: .*$", f"version: {version}")
        file.write_text(text)
    head = f"## Unreleased\n\n## {version} - {now:%Y-%m-%d}"
    CHANGES.write_text(replaced(CHANGES.read_text(), r"^## Unreleased$", head))


def main() -> int:
    version = sys.argv[1] if len(sys.argv) > 1 else ""
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        print("give it a version: make release VERSION=1.2.3", file=sys.stderr)
        return 2
    release(version, datetime.now(UTC))
    print(f"Now: make check test-ui docs wheel plugin, commit, and tag v{version}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
