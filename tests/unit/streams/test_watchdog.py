"""What counts as standing still, and what as moving."""

from __future__ import annotations

from streams.watchdog import Standstill
from tests.unit.streams.bench import StillClock


def test_what_shows_the_same_for_longer_than_the_limit_is_named() -> None:
    """Not before, and only that."""
    clock = StillClock(0)
    still = Standstill(clock)

    assert still.look({"a": 1, "b": 1}, 30) is None
    clock.at_ms = 30_000
    assert still.look({"a": 1, "b": 2}, 30) is None
    clock.at_ms = 30_001
    assert still.look({"a": 1, "b": 2}, 30) == "a"


def test_what_need_not_move_for_a_moment_starts_anew() -> None:
    """An idle time is not added to the next one."""
    clock = StillClock(0)
    still = Standstill(clock)
    still.look({"a": 1}, 30)
    clock.at_ms = 20_000
    still.look({}, 30)
    clock.at_ms = 40_000

    assert still.look({"a": 1}, 30) is None
