"""The number of records of one partition to admit before the other partitions have their turn.

A turn admits the records that fit into a quantum of the event loop's time, by recent costs. A tenant whose records are
expensive to admit gets no more of the loop than one with cheap records. It is the deficit round robin of
``streams.fairness`` for costs that are known only afterwards.
"""

from __future__ import annotations

QUANTUM_S = 0.004
"""The quantum, in CPU time of this thread: other processes do not make a record more expensive."""

LEAST, MOST = 4, 512
NEWEST = 0.3
"""The weight of the newest turn in a partition's average."""


class Quantum:
    """The admission quantum of one partition."""

    __slots__ = ("_each_s",)

    def __init__(self) -> None:
        self._each_s = QUANTUM_S / 64

    @property
    def records(self) -> int:
        """The number of records to admit in one turn."""
        return max(LEAST, min(MOST, int(QUANTUM_S / self._each_s)))

    def note(self, records: int, seconds: float) -> None:
        """Update the average: admitting *records*, and the work done at once, took *seconds*."""
        self._each_s += NEWEST * (max(seconds, 1e-6) / records - self._each_s)
