"""CPU time per record, from the first record taken to the last record done."""

from __future__ import annotations

import time


class Window:
    """Count finished records, and the CPU time of this process (all threads) since the first record was taken."""

    def __init__(self) -> None:
        self.done = 0
        self._began: float | None = None

    @property
    def has_begun(self) -> bool:
        """True if a record has been taken."""
        return self._began is not None

    def begin(self) -> None:
        """Begin the window at the first record. Later calls change nothing."""
        if self._began is None:
            self._began = time.process_time()

    def cost_us(self, count: int) -> float:
        """Return the CPU microseconds per record so far, for *count* records."""
        if self._began is None:
            raise ValueError("nothing has been taken since the window was made")
        return (time.process_time() - self._began) / count * 1e6
