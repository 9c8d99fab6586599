"""Who need not wait until others share its transaction: what is sparse, while its partition keeps to a fair share.

A partition into which much is written would otherwise use up what all partitions of a worker have together, and its
neighbours would wait for an interval each time. Source: A. K. Choudhury, E. L. Hahne, "Dynamic Queue Length Thresholds
for Shared-Memory Packet Switches" (1998), here over what was taken lately instead of what is held.
"""

from __future__ import annotations

from collections.abc import Hashable

from schemas.clock import Clock
from streams.lately import Lately

MEMORY_S = 0.2
"""What was taken is forgotten exponentially; this is its time constant. *rate* times it may be taken at once."""

SHARE = 0.5
"""Of what is left, that one holder may have: one alone gets a third of all, eight get four fifths together."""

MOST_KNOWN = 256
"""Holders are looked through when there are more, and those that took nothing lately are forgotten."""

LITTLE = 0.01
"""Of one, that is left of what was taken: as good as nothing."""


class Early:
    """*rate* transactions a second, in all; nobody may have more of them than a share of what is left."""

    def __init__(self, clock: Clock, rate: float) -> None:
        self._clock = clock
        self._most = rate * MEMORY_S
        self._all = Lately(MEMORY_S, clock.monotonic())
        self._of: dict[Hashable, Lately] = {}

    def __len__(self) -> int:
        """Holders that are remembered."""
        return len(self._of)

    def take(self, holder: Hashable) -> bool:
        """Whether *holder* may have one more now; if so, it counts."""
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
