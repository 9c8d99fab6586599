"""The broker's time as a worker may rely on it."""

from __future__ import annotations

import pytest

from streams.stages.broker_time import BrokerTime
from tests.unit.streams.engine.shard_setup import NOW, StillClock


def about(at_ms: int) -> object:
    """To a millisecond; what pytest allows by default is half an hour of this."""
    return pytest.approx(at_ms, rel=0, abs=1)


@pytest.mark.parametrize("step_ms", [-300_000, 0, 300_000])
def test_a_step_of_the_clock_moves_nothing_while_records_come(step_ms: int) -> None:
    """F20: five minutes either way."""
    clock = StillClock()
    time = BrokerTime(clock)
    time.saw(NOW)
    clock.step_ms = step_ms
    clock.at_ms += 4_000

    assert time.now_ms() == about(NOW + 4_000)


def test_without_records_it_is_never_later_than_it_is() -> None:
    """A step forward is not believed, a step back is."""
    clock = StillClock()
    time = BrokerTime(clock)
    clock.at_ms += 4_000
    assert time.now_ms() == about(NOW + 4_000)

    clock.step_ms = 300_000
    assert time.now_ms() == about(NOW + 4_000)
    clock.step_ms = -300_000
    assert time.now_ms() == about(NOW - 296_000)


def test_an_old_record_does_not_turn_the_time_back() -> None:
    """A backlog is read from its oldest record on."""
    clock = StillClock()
    time = BrokerTime(clock)
    time.saw(NOW + 5_000)
    time.saw(NOW - 60_000)

    assert time.now_ms() == about(NOW + 5_000)


def test_a_clock_that_is_set_right_is_believed_again() -> None:
    """By the first record that is newer than the clock said."""
    clock = StillClock()
    clock.step_ms = -300_000
    time = BrokerTime(clock)
    assert time.now_ms() == about(NOW - 300_000)

    time.saw(NOW)

    assert time.now_ms() == about(NOW)
