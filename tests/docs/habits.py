"""The table of Plex's habits in docs/plex.md: ``python -m tests.docs.habits``.

It is made from what the pretend Plex knows of itself; a test fails when it is not.
"""

from __future__ import annotations

from stash2plex.sandbox.habits import documented
from tests.docs.reading import DOCS

PAGE = DOCS / "plex.md"
START, END = "<!-- habits: start -->\n", "<!-- habits: end -->\n"


def page() -> str:
    """Return the page with its table as it should be."""
    before, _, rest = PAGE.read_text().partition(START)
    _, _, after = rest.partition(END)
    assert after, f"{PAGE.name} has no place for its table"
    rows = "\n".join(
        f"| {one.text} | {one.certainty.value}{', both ways' if one.switch else ''} |"
        for one in documented()
    )
    table = f"| habit | how sure, and tested |\n|---|---|\n{rows}\n"
    return f"{before}{START}\n{table}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page())
