"""How many records of one partition are admitted before the others have their turn.

As many as fit into a quantum of the loop's time, by what the last ones took: a tenant whose records are dear to admit
gets no more of the loop than one whose are cheap. It is the deficit round robin of ``streams.fairness`` where the cost
is known only afterwards.
"""

from __future__ import annotations

QUANTUM_S = 0.004
"""Of this thread's CPU time: what other processes do meanwhile makes no record dearer."""

LEAST, MOST = 4, 512
NEWEST = 0.3
"""Part that the newest turn has in a partition's average."""


class Quantum:
    """Of one partition."""

    __slots__ = ("_each_s",)

    def __init__(self) -> None:
        self._each_s = QUANTUM_S / 64

    @property
    def records(self) -> int:
        """To be admitted in one turn."""
        return max(LEAST, min(MOST, int(QUANTUM_S / self._each_s)))

    def note(self, records: int, seconds: float) -> None:
        """Admitting *records*, and what of their work was done at once, has taken *seconds*."""
        self._each_s += NEWEST * (max(seconds, 1e-6) / records - self._each_s)
