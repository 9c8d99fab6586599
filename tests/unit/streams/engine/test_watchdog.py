"""What counts as standing still, and what as moving."""

from __future__ import annotations

from itertools import pairwise

from structlog.testing import capture_logs

from streams.engine.watchdog import LONGEST_PAUSE_S, Outage, Standstill
from tests.unit.streams.engine.shard_setup import StillClock


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


def test_an_outage_is_told_at_once_then_ever_less_often_and_when_it_is_over() -> None:
    """A line a second would bury what an operator looks for."""
    clock = StillClock(0)
    outage = Outage(clock, "group")
    with capture_logs() as lines:
        outage.over()
        for _ in range(3_600):
            outage.lasts(TimeoutError())
            clock.at_ms += 1_000
        outage.over()
        outage.over()
        outage.lasts(TimeoutError())

    events = [line["event"] for line in lines]
    told = [line["seconds"] for line in lines if line["event"] == "kafka_unreachable"]
    assert events[-2:] == ["kafka_reconnected", "kafka_unreachable"]
    assert events.count("kafka_reconnected") == 1
    assert told[:5] == [0, 10, 30, 70, 150]
    assert len(told) < 15
    assert max(b - a for a, b in pairwise(told)) == LONGEST_PAUSE_S
    assert told[-1] == 0
