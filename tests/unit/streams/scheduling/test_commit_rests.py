"""Whoever comes often rests, and only beside somebody else."""

from __future__ import annotations

import pytest

from schemas.records import Partition
from streams.offsets.tracker import Tracker
from streams.scheduling.commit_pacing import LONGEST_REST_S, REST_FACTOR, REST_MEMORY_S, CommitRests

LEAST_S = 0.05
TAKES_S = 0.02


class Shard:
    """One partition that comes ten times as often as the other."""

    def __init__(self, takes_s: float = TAKES_S) -> None:
        self.rests, self.takes_s = CommitRests(), takes_s
        self.often, self.seldom = Tracker(Partition("in", 0)), Tracker(Partition("in", 1))
        self.now = 0.0

    def commits(self, *trackers: Tracker) -> None:
        self.now += self.takes_s
        self.rests.note(trackers, self.takes_s, self.now)
        for tracker in trackers:
            tracker.touched = self.now

    def goes_on(self, times: int = 50) -> None:
        for number in range(times):
            self.commits(self.often, *([self.seldom] if number % 10 == 0 else []))


def test_one_alone_never_rests() -> None:
    """There is nobody to leave room to: a shard of one partition commits as before, however slow that is."""
    shard = Shard(takes_s=1.0)
    for _ in range(20):
        shard.commits(shard.often)

    assert shard.rests.rested(shard.often, shard.now)
    assert shard.rests.interval_s(LEAST_S) == LEAST_S


def test_who_comes_more_often_rests_for_many_times_what_a_transaction_takes() -> None:
    """Whoever comes less often than others mostly finds the shard free."""
    shard = Shard()
    shard.goes_on()

    assert not shard.rests.rested(shard.often, shard.now + 0.9 * REST_FACTOR * TAKES_S)
    assert shard.rests.rested(shard.often, shard.now + 1.1 * REST_FACTOR * TAKES_S)
    assert shard.rests.interval_s(LEAST_S) == pytest.approx((REST_FACTOR + 1) * TAKES_S, rel=0.01)


def test_who_comes_less_often_never_rests() -> None:
    """Not even when it has just had one."""
    shard = Shard()
    shard.goes_on()
    shard.commits(shard.seldom)

    assert shard.rests.rested(shard.seldom, shard.now)
    assert shard.rests.rested(Tracker(Partition("new", 0)), shard.now)


def test_quick_transactions_make_no_interval_longer() -> None:
    """The shard is free for most of it anyway."""
    shard = Shard(takes_s=0.005)
    shard.goes_on()

    assert shard.rests.interval_s(LEAST_S) == LEAST_S


def test_on_a_slow_cluster_a_rest_has_an_end() -> None:
    """Nobody can be spared there, and half a second more of waiting helps nobody."""
    shard = Shard(takes_s=1.0)
    shard.commits(shard.often, shard.seldom)
    shard.commits(shard.often, shard.seldom)

    assert shard.rests.interval_s(LEAST_S) <= 1.0 + LONGEST_REST_S
    assert shard.rests.rested(shard.often, shard.now + LONGEST_REST_S)


def test_who_has_gone_is_waited_for_no_longer() -> None:
    """A tenant that came once does not slow the others down for good."""
    shard = Shard()
    shard.goes_on()
    shard.now += 6 * REST_MEMORY_S
    shard.commits(shard.often)

    assert shard.rests.rested(shard.often, shard.now)
    assert shard.rests.interval_s(LEAST_S) == LEAST_S
