"""What it means to stand still: an alarm, one line now and then, and an end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from schemas.records import Partition
from streams.engine.paused_partitions import WARNING_INTERVAL_S, PausedPartitions, reason_of
from streams.telemetry.metric_definitions import PARTITION_PAUSES, PAUSE_REASONS
from streams.telemetry.metric_store import MetricStore
from streams.transport.errors import (
    AccessDeniedError,
    BrokerError,
    OffsetLostError,
    TransportError,
    UnknownTopicError,
    UnreadableError,
)
from tests.unit.streams.engine.shard_setup import StillClock

HERE, THERE = Partition("in", 0), Partition("in", 1)
LOST = OffsetLostError("offset 5 is gone")


class Setup:
    """Stops with a clock that stands still."""

    def __init__(self) -> None:
        self.clock, self.metrics, self.changes = StillClock(0), MetricStore("stage"), 0
        self.paused = PausedPartitions("stage", self.clock, self.metrics, self._changed)

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
def setup() -> Setup:
    """As a worker has them when it starts."""
    return Setup()


@pytest.fixture
def lines() -> Iterator[list[EventDict]]:
    """What is logged."""
    with capture_logs() as said:
        yield said


def test_what_stops_is_counted_once_and_held(setup: Setup) -> None:
    """However often it is found so; the others are not."""
    for _ in range(3):
        setup.paused.add(HERE, LOST, life=1)

    assert setup.paused.holds(HERE, 1)
    assert HERE in setup.paused
    assert not setup.paused.holds(THERE, 1)
    assert setup.metrics.total(PARTITION_PAUSES, "offset_lost") == 1
    assert setup.paused.counts() == {"offset_lost": 1}
    assert setup.changes > 0


def test_another_reason_is_another_stop(setup: Setup) -> None:
    """It is counted by what it is now."""
    setup.paused.add(HERE, LOST, life=1)
    setup.paused.add(HERE, UnreadableError("damaged"), life=1)

    assert setup.paused.counts() == {"unreadable": 1}
    assert setup.metrics.total(PARTITION_PAUSES) == 2


def test_a_new_life_of_its_shard_tries_again(setup: Setup) -> None:
    """The offset has been read again by then: somebody may have set it right."""
    setup.paused.add(HERE, LOST, life=1)
    before = setup.changes

    assert not setup.paused.holds(HERE, 2)
    assert HERE not in setup.paused
    assert setup.changes > before


def test_what_is_withdrawn_stays_so_over_every_life(setup: Setup) -> None:
    """Its topic is gone, and an opening shard must not ask for it."""
    setup.paused.add(HERE, UnknownTopicError("in"), life=1)
    setup.paused.withdraw(HERE, UnknownTopicError("in"))

    assert setup.paused.holds(HERE, 99)
    assert setup.paused.withdrawn == {HERE}
    assert setup.metrics.total(PARTITION_PAUSES, "missing") == 1

    setup.paused.release(HERE)
    assert setup.paused.withdrawn == set()
    assert not setup.paused.holds(HERE, 99)


def test_it_is_told_at_once_and_then_now_and_then(setup: Setup, lines: list[EventDict]) -> None:
    """With the partition, the reason and what to do; a stop that comes and goes floods no log."""
    for at_s in (0, 1, WARNING_INTERVAL_S - 1, WARNING_INTERVAL_S, WARNING_INTERVAL_S + 1):
        setup.clock.at_ms = int(at_s * 1_000)
        setup.paused.add(HERE, LOST, life=1)
        setup.paused.release(HERE)

    assert [line["event"] for line in lines] == ["partition_paused"] * 2
    assert lines[0]["partition"] == "in:0"
    assert lines[0]["error"] == "offset 5 is gone"
    assert "reset-offsets" in lines[0]["advice"]


def test_another_reason_is_told_at_once(setup: Setup, lines: list[EventDict]) -> None:
    """It asks for something else."""
    setup.paused.add(HERE, LOST, life=1)
    setup.paused.add(HERE, UnreadableError("damaged"), life=1)
    assert [line["reason"] for line in lines] == ["offset_lost", "unreadable"]


def test_what_is_no_longer_ours_is_forgotten(setup: Setup, lines: list[EventDict]) -> None:
    """Another worker has it; when it comes back and still stands, that is news."""
    setup.paused.add(HERE, LOST, life=1)
    setup.paused.withdraw(THERE, UnknownTopicError("in"))
    setup.paused.keep([HERE])
    assert [stop.partition for stop in setup.paused] == [HERE]
    assert setup.paused.withdrawn == set()

    setup.paused.keep([])
    setup.paused.add(HERE, LOST, life=1)
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (LOST, "offset_lost"),
        (UnreadableError(""), "unreadable"),
        (UnknownTopicError(""), "missing"),
        (AccessDeniedError(""), "forbidden"),
        (BrokerError(""), "unavailable"),
    ],
)
def test_every_error_has_a_reason_of_the_vocabulary(error: TransportError, reason: str) -> None:
    """An alarm can be raised on each."""
    assert reason_of(error) == reason
    assert reason in PAUSE_REASONS
