"""The one clock that is real."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from schemas.clock import Clock, ContinuedClock, CorrectedClock, SystemClock


def test_the_system_clock_counts_milliseconds_since_the_epoch() -> None:
    """Deadlines are compared with the broker's append time, which is in milliseconds."""
    clock: Clock = SystemClock()
    before = datetime.now(UTC).timestamp() * 1_000

    assert before - 1 <= clock.now_ms() <= before + 60_000


def test_the_monotonic_clock_does_not_go_back() -> None:
    """Waits are measured with it."""
    clock = SystemClock()
    seen = [clock.monotonic() for _ in range(100)]

    assert seen == sorted(seen)


@dataclass
class WallClock:
    """A wall clock that can be set, and a monotonic one that cannot."""

    wall_ms: int = 1_000_000
    seconds: float = 50.0

    def now_ms(self) -> int:
        return self.wall_ms

    def monotonic(self) -> float:
        return self.seconds

    def pass_s(self, seconds: float) -> None:
        self.wall_ms += round(seconds * 1_000)
        self.seconds += seconds


def test_a_corrected_clock_adds_what_was_measured() -> None:
    """Ahead or behind, and for as long as nothing else is measured."""
    wall = WallClock()
    clock = CorrectedClock(wall)
    assert clock.now_ms() == 1_000_000

    clock.correct(-400_000)
    wall.pass_s(10)

    assert (clock.now_ms(), clock.uncorrected_ms(), clock.stepped) == (610_000, 1_010_000, False)


@pytest.mark.parametrize("step_ms", [300_000, -300_000])
def test_a_corrected_clock_goes_on_when_the_wall_clock_is_set(step_ms: int) -> None:
    """Nothing expires between the step and the next measurement."""
    wall = WallClock()
    clock = CorrectedClock(wall)
    clock.correct(-400_000)

    wall.wall_ms += step_ms
    wall.pass_s(2)
    assert (clock.now_ms(), clock.stepped) == (602_000, True)

    clock.correct(-400_000 - step_ms)
    assert (clock.now_ms(), clock.stepped) == (602_000, False)


def test_a_continued_clock_does_not_ask_the_wall_clock() -> None:
    """The machine's may be wrong; the one that it continues was corrected."""
    wall = WallClock()
    clock: Clock = ContinuedClock(7_000, wall)

    wall.wall_ms = 0
    wall.seconds += 1.5

    assert clock.now_ms() == 8_500
