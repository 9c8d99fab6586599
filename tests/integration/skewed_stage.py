"""A stage on a machine whose clock is wrong: ``python -m tests.integration.skewed_stage STAGE SECONDS``."""

from __future__ import annotations

import sys

from ops.processes import run_alone
from ops.settings import Settings
from schemas.clock import SystemClock


class Skewed(SystemClock):
    """A clock that is ahead by some seconds, or behind if they are negative."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def now_ms(self) -> int:
        return super().now_ms() + round(self._seconds * 1_000)


if __name__ == "__main__":
    run_alone(sys.argv[1], Settings(), clock=Skewed(float(sys.argv[2])))
