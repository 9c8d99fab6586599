"""Limit the transactions that commit before their interval ends, with a fair share for each partition.

A partition with sparse records need not wait until others share its transaction. A busy partition would otherwise use
up all early transactions of the worker. The other partitions would then wait for an interval each time. Source: A. K.
Choudhury, E. L. Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches" (1998), applied here to
recent use instead of held buffers.
"""

from __future__ import annotations

from collections.abc import Hashable

from schemas.clock import Clock
from streams.lately import Lately

MEMORY_S = 0.2
"""Time constant, in seconds, of the exponential decay of past use. *rate* times this may be used at once."""

SHARE = 0.5
"""Part of the free transactions that one holder may have. One holder alone gets a third of all; eight together get four
fifths."""

MOST_KNOWN = 256
"""With more holders than this, those without recent use are forgotten."""

LITTLE = 0.01
"""A decayed count up to this is as good as zero."""


class Early:
    """At most *rate* early transactions a second in all. Each holder may have only a share of the free ones."""

    def __init__(self, clock: Clock, rate: float) -> None:
        self._clock = clock
        self._most = rate * MEMORY_S
        self._all = Lately(MEMORY_S, clock.monotonic())
        self._of: dict[Hashable, Lately] = {}

    def __len__(self) -> int:
        """Return the number of remembered holders."""
        return len(self._of)

    def take(self, holder: Hashable) -> bool:
        """Return True, and count it, if *holder* may have one more now."""
        now = self._clock.monotonic()
        free, of = self._most - self._all.count(now), self._of.get(holder)
        if free < 1 or (of is not None and of.count(now) >= SHARE * free):
            return False
        if of is None:
            self._forget(now)
            of = self._of[holder] = Lately(MEMORY_S, now)
        of.add(now)
        self._all.add(now)
        return True

    def _forget(self, now: float) -> None:
        if len(self._of) > MOST_KNOWN:
            self._of = {holder: of for holder, of in self._of.items() if of.count(now) > LITTLE}
