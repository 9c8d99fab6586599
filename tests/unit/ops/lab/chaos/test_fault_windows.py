"""Which stalls are held against the platform."""

from __future__ import annotations

from ops.lab.chaos.fault_windows import AFTER_MS, FaultWindow, FaultWindows, unaffected
from ops.lab.chaos.ledger import Start
from tests.unit.streams.engine.shard_setup import NOW, StillClock


def starts(pid: int, *seconds: int) -> list[Start]:
    """Runs that worker *pid* started at these moments."""
    return [Start("r", "1", NOW + second * 1_000, pid) for second in seconds]


FOREVER = NOW + 10**9


def test_a_worker_that_was_not_hit_is_judged_by_its_longest_pause() -> None:
    """Whatever the others do meanwhile."""
    stall = unaffected([*starts(7, 0, 1, 5, 6), *starts(8, 0, 2, 3)], [], FOREVER)

    assert (stall.longest_s, stall.watched_s) == (4, 9)


def test_a_pause_of_the_worker_that_was_hit_is_excused_and_no_others() -> None:
    """Another one that stops at the same time has no excuse."""
    hit = FaultWindow(NOW + 1_000, NOW + 1_000, 7)
    both = [*starts(7, 0, 9), *starts(8, 0, 3)]

    assert unaffected(both, [hit], FOREVER).longest_s == 3


def test_trouble_of_a_broker_excuses_everybody_until_a_while_after_it() -> None:
    """And no pause before it."""
    down = FaultWindow(NOW + 1_000, NOW + 2_000)
    after = AFTER_MS // 1_000 + 2
    one = starts(7, 0, 9, after, after + 5)

    assert unaffected(one, [down], FOREVER).longest_s == 5
    assert unaffected(starts(7, -8, 0, 2), [down], FOREVER).longest_s == 8


def test_when_nothing_more_is_sent_nobody_is_judged() -> None:
    """The last runs end one by one."""
    assert unaffected(starts(7, 0, 2, 40), [], NOW + 10_000).longest_s == 2


def test_what_hits_a_door_hits_everybody() -> None:
    """Who is not let in cannot be run."""
    clock = StillClock()
    fault_windows = FaultWindows(clock)
    fault_windows.hit(7, 2.0)
    fault_windows.hit(8, everybody=True)
    with fault_windows.during():
        clock.at_ms += 3_000

    assert fault_windows.all == [FaultWindow(NOW, NOW + 2_000, 7), FaultWindow(NOW, NOW), FaultWindow(NOW, NOW + 3_000)]
