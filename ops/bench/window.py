"""CPU time a record, from the first record that is taken to the last that is done."""

from __future__ import annotations

import time


class Window:
    """Counts what has been done, and the CPU time of this process (all threads) since the first record was taken."""

    def __init__(self) -> None:
        self.done = 0
        self._began: float | None = None

    @property
    def has_begun(self) -> bool:
        """Whether a record has been taken."""
        return self._began is not None

    def begin(self) -> None:
        """The first record has been taken; called again, it changes nothing."""
        if self._began is None:
            self._began = time.process_time()

    def cost_us(self, count: int) -> float:
        """Microseconds of CPU a record until now, of *count* records."""
        if self._began is None:
            raise ValueError("nothing has been taken since the window was made")
        return (time.process_time() - self._began) / count * 1e6
