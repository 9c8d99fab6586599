"""How many records the worker holds that are not finished."""

from __future__ import annotations

import asyncio


class Slots:
    """A count with a limit. ``changed`` is set whenever a slot may have become free."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.taken = 0
        self.changed = asyncio.Event()

    @property
    def free(self) -> int:
        """Slots that may be taken now; not above zero when full."""
        return self.limit - self.taken

    def take(self) -> None:
        """One more."""
        self.taken += 1

    def give(self, count: int = 1) -> None:
        """*count* fewer."""
        self.taken -= count
        self.changed.set()
