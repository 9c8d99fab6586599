"""How long a shard's results stay away around a moment, be it a rebalance or nothing at all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

AROUND_S = 1.5
"""Before an assignment and after it: a member hears of a rebalance with a heartbeat, once a second."""


@dataclass
class Pauses:
    """When something of each shard became visible, and when the shard was not one's own; seconds of one clock."""

    shards: int
    results: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    absent: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))

    def around(self, moments: Iterable[float]) -> list[float]:
        """For each moment and each shard that was kept all the while: its longest time without a result. Sorted."""
        return sorted(longest for at in moments for longest in self._around(at - AROUND_S, at + AROUND_S))

    def _around(self, since: float, until: float) -> Iterator[float]:
        for shard in range(self.shards):
            if not any(since <= at <= until for at in self.absent[shard]):
                yield max(self._gaps(shard, since, until))

    def _gaps(self, shard: int, since: float, until: float) -> Iterator[float]:
        """Those within the time, cut at its ends."""
        seen = [at for at in self.results[shard] if since < at < until]
        yield from (later - sooner for sooner, later in pairwise([since, *seen, until]))


def part(pauses: list[float], share: float) -> float:
    """The pause that a *share* of all, which are sorted, are not above."""
    return pauses[min(len(pauses) - 1, int(len(pauses) * share))]
