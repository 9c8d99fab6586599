"""The records that a worker holds, admitted and not finished, and their bytes: in all and by partition."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable


class Slots:
    """Two counts with limits. ``changed`` is set whenever there may be room again.

    A holder may hold no more than is still free. One that floods takes half, two take a third each, and a later holder
    finds room. Source: A. K. Choudhury, E. L. Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet
    Switches" (1998). Records already over a limit stay: a fetch cannot know how much it will return.
    """

    def __init__(self, limit: int, size: int) -> None:
        self.limit, self._size = limit, size
        self.taken = 0
        """The number of records held."""

        self.bytes = 0
        """The bytes of these records."""

        self.changed = asyncio.Event()
        self._of: dict[Hashable, list[int]] = {}

    @property
    def free(self) -> int:
        """The number of records that may be taken now; zero or less if records or bytes are full."""
        return self.limit - self.taken if self.bytes < self._size else 0

    @property
    def free_bytes(self) -> int:
        """The number of bytes that may be taken now."""
        return self._size - self.bytes

    def room(self, holder: Hashable) -> int:
        """Return the number of records that *holder* may take now; zero or less if its share is full."""
        taken, size = self._of.get(holder, (0, 0))
        return self.free - taken if size < self.free_bytes else 0

    def take(self, holder: Hashable, size: int) -> None:
        """Add one record of *size* bytes."""
        self.taken += 1
        self.bytes += size
        held = self._of.get(holder)
        if held is None:
            self._of[holder] = [1, size]
        else:
            held[0] += 1
            held[1] += size

    def give(self, holder: Hashable, size: int) -> None:
        """Remove one record of *size* bytes."""
        self.taken -= 1
        self.bytes -= size
        held = self._of[holder]
        held[0] -= 1
        held[1] -= size
        if not held[0]:
            del self._of[holder]
        self.changed.set()
