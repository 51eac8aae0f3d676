"""``make chaos``: storms for half an hour, or as long as told."""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
from pathlib import Path

from tests.chaos.storm import weather


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1800)
    parser.add_argument("--scenes", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(
            weather(
                Path(folder),
                seed=options.seed,
                scenes=options.scenes,
                seconds=options.seconds,
            )
        )
    print("nothing was lost")


if __name__ == "__main__":
    main()
