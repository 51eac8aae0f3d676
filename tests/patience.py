"""How long tests wait for what should come: longer where the machine is slow or busy.

A limit only ends what would never end. So it has room, and grows with the time that a
little work of the usual kinds took here, and with how many processes wait for a turn.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from functools import lru_cache

# What `_work` takes on the machine that the limits were chosen on, seconds.
_REFERENCE = 0.015
# By so much limits are larger than what was ever seen.
_ROOM = 3.0


def patient(seconds: float) -> float:
    """Return the limit for what takes *seconds* at most on a usual machine."""
    waiting = os.getloadavg()[0] / (os.cpu_count() or 1)
    return seconds * _ROOM * max(1.0, _slowness(), waiting)


@lru_cache(maxsize=1)
def _slowness() -> float:
    """Return how many times as long as usual the work took, measured once."""
    began = time.perf_counter()
    _work()
    return (time.perf_counter() - began) / _REFERENCE


def _work() -> None:
    data = b"x" * 1_000_000
    for _ in range(10):
        hashlib.sha256(data).digest()
    sum(number * number for number in range(150_000))
    for _ in range(50):
        thread = threading.Thread(target=os.getpid)
        thread.start()
        thread.join()
