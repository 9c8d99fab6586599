"""What a worker holds: records that are admitted and not finished, and their bytes, in all and by partition."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable


class Slots:
    """Two counts with limits. ``changed`` is set whenever there may be room again.

    No holder may have more than what is left free: one that floods takes half, two take a third each, and whoever comes
    later finds room. Source: A. K. Choudhury, E. L. Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet
    Switches" (1998). What is over a limit already stays: a fetch does not know how much it will bring.
    """

    def __init__(self, limit: int, size: int) -> None:
        self.limit, self._size = limit, size
        self.taken = 0
        """Records."""

        self.bytes = 0
        """Of these records."""

        self.changed = asyncio.Event()
        self._of: dict[Hashable, list[int]] = {}

    @property
    def free(self) -> int:
        """Records that may be taken now; not above zero when full, of records or of bytes."""
        return self.limit - self.taken if self.bytes < self._size else 0

    @property
    def free_bytes(self) -> int:
        """Bytes that may be taken now."""
        return self._size - self.bytes

    def room(self, holder: Hashable) -> int:
        """Records that *holder* may take now; not above zero when it has its share, of records or of bytes."""
        taken, size = self._of.get(holder, (0, 0))
        return self.free - taken if size < self.free_bytes else 0

    def take(self, holder: Hashable, size: int) -> None:
        """One more, of *size* bytes."""
        self.taken += 1
        self.bytes += size
        held = self._of.get(holder)
        if held is None:
            self._of[holder] = [1, size]
        else:
            held[0] += 1
            held[1] += size

    def give(self, holder: Hashable, size: int) -> None:
        """One fewer."""
        self.taken -= 1
        self.bytes -= size
        held = self._of[holder]
        held[0] -= 1
        held[1] -= size
        if not held[0]:
            del self._of[holder]
        self.changed.set()
