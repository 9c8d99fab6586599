"""How many jobs begin before the event loop has its turn.

What begins at once runs in the order of arrival, to the end of its first step: a flood that came first would have the
loop for as long as all of it takes. So no more begin than fit into a quantum, by what the last ones took; the others
wait for their tenants' turns. Jobs that are cheap to begin never notice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import thread_time

QUANTUM_S = 0.004
"""Of this thread's CPU time: what other processes do meanwhile makes no job dearer."""

LEAST, MOST, FIRST = 8, 256, 64
NEWEST = 0.3
"""Part that the newest burst has in the average."""


class Burst:
    """What is left of it; *again* is called when the next one begins."""

    __slots__ = ("_again", "_began_s", "_closed", "_each_s", "_full", "_given", "left", "spent")

    def __init__(self, again: Callable[[], None]) -> None:
        self._again = again
        self._each_s = QUANTUM_S / FIRST
        self.spent = False
        """Whether the next one has been arranged for."""

        self._full = self._given = FIRST
        self.left = FIRST
        """Jobs that may still begin, of those that this burst was given."""

        self._closed = False
        self._began_s = 0.0

    def arrange(self) -> None:
        """A job has begun, the first of this burst."""
        self.spent = True
        asyncio.get_running_loop().call_soon(self._next)

    def close(self) -> None:
        """The jobs that have begun stand one behind another, and behind them comes something else: what that takes is
        none of theirs.
        """
        if self.spent and not self._closed:
            self._closed = True
            asyncio.get_running_loop().call_soon(self._over, self._given - self.left)

    def _next(self) -> None:
        """The loop has turned, and is about to run what has begun: how long that takes is seen behind it."""
        self._began_s = thread_time()
        if not self._closed:
            asyncio.get_running_loop().call_soon(self._note, self._began_s, self._given - self.left)
        self.spent = self._closed = False
        self.left = self._given = self._full
        self._again()
        self.close()

    def _over(self, jobs: int) -> None:
        self._note(self._began_s, jobs)

    def _note(self, began_s: float, jobs: int) -> None:
        self._each_s += NEWEST * ((thread_time() - began_s) / jobs - self._each_s)
        self._full = max(LEAST, min(MOST, int(QUANTUM_S / max(1e-6, self._each_s))))
        if not self.spent:
            self.left = self._given = self._full
