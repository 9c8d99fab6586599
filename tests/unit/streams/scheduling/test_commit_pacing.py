"""The interval of busy shards: it follows what their transactions cost, and never what it need not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from streams.engine.config import EngineConfig
from streams.scheduling.commit_pacing import PACING_WINDOW_S, CommitPacing, wanted_s
from streams.transport.connection import Connection
from tests.unit.streams.engine.shard_setup import StillClock

PARAMETERS = replace(
    EngineConfig(Connection("nowhere")),
    commit_interval_s=0.05,
    longest_interval_s=0.2,
    transaction_share=0.2,
    transaction_cost_s=0.001,
)


class Worker:
    """Says what its thread did in each window."""

    def __init__(self) -> None:
        self.clock = StillClock()
        self.wanted = self.used = 0.0
        self.commit_pacing = CommitPacing(PARAMETERS, self.clock, lambda: self.wanted, lambda: self.used)

    def window(self, transactions: int, used: float, wanted: float | None = None) -> float:
        """A window of which its thread had, and wanted, such parts. The interval afterwards."""
        for _ in range(transactions):
            self.commit_pacing.count()
        self.clock.at_ms += int(PACING_WINDOW_S * 1_000)
        self.used += used * PACING_WINDOW_S
        self.wanted += (used if wanted is None else wanted) * PACING_WINDOW_S
        return self.commit_pacing.interval_s()


def test_the_interval_grows_by_as_much_as_transactions_exceed_their_share() -> None:
    """125 of a millisecond in a quarter of a second are half of a core, and a fifth is allowed."""
    assert Worker().window(transactions=125, used=1.0) == pytest.approx(0.05 * 2.5)


def test_it_grows_no_longer_than_the_most() -> None:
    """What has finished must be visible, however dear that is."""
    worker = Worker()
    worker.window(transactions=125, used=1.0)

    assert worker.window(transactions=125, used=1.0) == 0.2


def test_a_worker_with_time_to_spare_keeps_the_least_interval() -> None:
    """Nobody gains from a longer one, though transactions are nearly all that it does."""
    assert Worker().window(transactions=100, used=0.45) == 0.05


def test_a_worker_that_waits_for_a_cpu_has_no_time_to_spare() -> None:
    """It has a quarter of one and would use more: of that quarter a fifth is allowed."""
    assert Worker().window(transactions=25, used=0.25, wanted=0.9) == pytest.approx(0.05 * 2)


def test_the_interval_falls_at_once_when_the_load_falls() -> None:
    """Within a window, not step by step."""
    worker = Worker()
    worker.window(transactions=500, used=1.0)

    assert worker.window(transactions=3, used=0.1) == 0.05


def test_it_comes_back_as_transactions_become_fewer() -> None:
    """Not below the least."""
    worker = Worker()
    worker.window(transactions=200, used=1.0)

    assert worker.window(transactions=25, used=1.0) == pytest.approx(0.1)
    assert worker.window(transactions=5, used=1.0) == 0.05


def test_between_two_looks_nothing_changes() -> None:
    """One transaction more or less says nothing."""
    worker = Worker()
    before = worker.commit_pacing.interval_s()
    for _ in range(1_000):
        worker.commit_pacing.count()
    worker.used += 1
    worker.wanted += 1

    assert worker.commit_pacing.interval_s() == before


def test_what_this_thread_wants_is_at_least_what_it_has() -> None:
    """Counted by the system, or by the thread's own clock where the system does not say."""
    before, end = wanted_s(), 0
    for number in range(300_000):
        end += number

    assert wanted_s() - before > 0.001, end
