"""What is sparse need not wait, and whoever comes often leaves enough to the others."""

from __future__ import annotations

from streams.scheduling.commit_pacing import EARLY_MEMORY_S, EARLY_SHARE, MOST_HOLDERS, EarlyCommits
from tests.clock import Clock

RATE = 100.0
MOST = int(RATE * EARLY_MEMORY_S)


def taken(early: EarlyCommits, clock: Clock, holders: list[str], steps: int = 5_000) -> dict[str, int]:
    """How often each was allowed, of those who ask every millisecond, in turn."""
    counts = dict.fromkeys(holders, 0)
    for step in range(steps):
        clock.at += 1
        for holder in (*holders[step % len(holders) :], *holders[: step % len(holders)]):
            counts[holder] += early.take(holder)
    return counts


def test_one_alone_leaves_most_to_whoever_comes_later() -> None:
    """A flood that asks without pause leaves room for whoever comes later (I13)."""
    clock = Clock()
    early = EarlyCommits(clock, RATE)

    flood = taken(early, clock, ["flood"])["flood"]

    part = EARLY_SHARE / (1 + EARLY_SHARE)
    assert 0.8 * part < flood / (RATE * 5) < 1.3 * part
    assert [early.take("calm") for _ in range(4)] == [True] * 4


def test_many_share_and_none_has_more_than_the_others() -> None:
    """Whatever their number, all of it can be used, but for the last share."""
    clock = Clock()
    counts = taken(EarlyCommits(clock, RATE), clock, [f"p{number}" for number in range(8)])

    assert max(counts.values()) < 1.3 * min(counts.values())
    assert 0.7 * RATE * 5 < sum(counts.values()) <= RATE * 5 + MOST


def test_all_together_have_no_more_than_the_rate() -> None:
    """However many holders ask: a transaction costs a worker the same, whoever it is for."""
    clock = Clock()
    early = EarlyCommits(clock, RATE)

    assert sum(early.take(f"p{number}") for number in range(10 * MOST)) == MOST
    clock.at += int(EARLY_MEMORY_S * 60_000)
    assert sum(early.take(f"q{number}") for number in range(10 * MOST)) == MOST


def test_nobody_is_remembered_who_took_nothing_lately() -> None:
    """A worker sees thousands of partitions in its life."""
    clock = Clock()
    early = EarlyCommits(clock, RATE)

    for number in range(4 * MOST_HOLDERS):
        clock.at += 20
        assert early.take(number)

    assert len(early) <= MOST_HOLDERS + 1
