"""The sliding window: exact in any minute, on a clock that stands still until it is moved."""

from __future__ import annotations

import random
import time

import pytest

from consumers.admission.rates import MINUTE_MS, UNLIMITED, Rate, Rates, rates_of
from schemas.tenants import Limits
from tests.clock import Clock


def taken(rate: Rate, clock: Clock, wanted: int = 1) -> int:
    """How many of *wanted* go in now."""
    count = 0
    while count < wanted and rate.has_room(0):
        rate.charge(clock.at)
        count += 1
    return count


def test_a_minute_takes_its_limit_and_not_one_more() -> None:
    """The limit may come at once; what comes back comes when its minute is over, to the millisecond."""
    clock = Clock()
    rate = Rate(clock, 3)
    assert taken(rate, clock, 9) == 3
    assert rate.frees_ms() == MINUTE_MS
    clock.at = MINUTE_MS - 1
    assert (taken(rate, clock), rate.frees_ms()) == (0, 1)
    clock.at = MINUTE_MS
    assert taken(rate, clock, 9) == 3


@pytest.mark.parametrize("seed", range(5))
def test_no_minute_anywhere_sees_more_and_none_is_wasted(seed: int) -> None:
    """A full minute is full because the limit was taken, wherever one looks."""
    chance, clock = random.Random(seed), Clock()
    rate, times = Rate(clock, 7), list[int]()
    for _ in range(2_000):
        clock.at += chance.randrange(9_000)
        recent = sum(at > clock.at - MINUTE_MS for at in times)
        assert rate.has_room(0) == (recent < 7)
        times += [clock.at] * taken(rate, clock, chance.randrange(4))
    assert all(sum(end - MINUTE_MS < at <= end for at in times) <= 7 for end in times)


def test_what_is_promised_counts() -> None:
    """Whoever was called and has not gone through will take its place."""
    rate = Rate(Clock(), 2)
    assert [rate.has_room(promised) for promised in (0, 1, 2)] == [True, True, False]


def test_without_a_limit_everything_fits() -> None:
    """And a limit that comes later finds what the minute has seen."""
    clock = Clock()
    rate = Rate(clock)
    for _ in range(5):
        rate.charge(0)
    assert rate.has_room(99)
    rate.limit = 5
    assert not rate.has_room(0)


def test_the_log_may_say_it_late_and_in_any_order() -> None:
    """Entries are read back as they were written, not as they were let in."""
    clock = Clock()
    clock.at = 100_000
    rate = Rate(clock, 9)
    for at_ms in (90_000, 50_000, 70_000, 39_999):
        rate.charge(at_ms)
    assert rate.frees_ms() == 10_000
    clock.at = 110_000
    rate.limit = 2
    assert not rate.has_room(0)
    clock.at = 130_000
    assert rate.has_room(0)


def test_a_clock_that_is_set_back_blocks_nobody_longer_than_a_minute() -> None:
    """Nor does a former owner whose clock runs ahead."""
    clock = Clock()
    clock.at = 600_000
    rate = Rate(clock, 1)
    rate.charge(600_000)
    clock.at = 300_000
    assert (rate.has_room(0), rate.frees_ms()) == (False, MINUTE_MS)
    clock.at = 300_000 + MINUTE_MS
    assert rate.has_room(0)
    assert rate.idle


def test_the_limits_of_a_tenant_that_has_none_cost_nothing() -> None:
    """One value stands for all of them."""
    assert rates_of(Limits()) is UNLIMITED
    assert not UNLIMITED.any
    assert rates_of(Limits(rpm=1, rpm_per_agent=2, rpm_per_user=3)) == Rates(1, 2, 3)
    assert Rates(user=1).any


def test_a_large_limit_costs_no_more_a_record_than_a_small_one() -> None:
    """The oldest leave one by one."""

    def each(limit: int) -> float:
        clock = Clock()
        rate, began = Rate(clock, limit), time.process_time()
        for _ in range(20_000):
            clock.at += 1
            rate.has_room(0)
            rate.charge(clock.at)
        return time.process_time() - began

    assert each(1_000_000) < 5 * each(10)
