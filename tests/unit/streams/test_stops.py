"""What it means to stand still: an alarm, one line now and then, and an end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from schemas.records import Partition
from streams.measures import Metrics
from streams.metrics import PARTITION_STOPS, STOP_REASONS
from streams.stops import TOLD_S, Stops, reason_of
from streams.transport.errors import (
    AccessDeniedError,
    BrokerError,
    OffsetLostError,
    TransportError,
    UnknownTopicError,
    UnreadableError,
)
from tests.unit.streams.bench import StillClock

HERE, THERE = Partition("in", 0), Partition("in", 1)
LOST = OffsetLostError("offset 5 is gone")


class Bench:
    """Stops with a clock that stands still."""

    def __init__(self) -> None:
        self.clock, self.metrics, self.changes = StillClock(0), Metrics("stage"), 0
        self.stops = Stops("stage", self.clock, self.metrics, self._changed)

    def _changed(self) -> None:
        self.changes += 1


@pytest.fixture
def bench() -> Bench:
    """As a worker has them when it starts."""
    return Bench()


@pytest.fixture
def lines() -> Iterator[list[EventDict]]:
    """What is logged."""
    with capture_logs() as said:
        yield said


def test_what_stops_is_counted_once_and_held(bench: Bench) -> None:
    """However often it is found so; the others are not."""
    for _ in range(3):
        bench.stops.add(HERE, LOST, life=1)

    assert bench.stops.holds(HERE, 1)
    assert HERE in bench.stops
    assert not bench.stops.holds(THERE, 1)
    assert bench.metrics.total(PARTITION_STOPS, "offset_lost") == 1
    assert bench.stops.counts() == {"offset_lost": 1}
    assert bench.changes > 0


def test_another_reason_is_another_stop(bench: Bench) -> None:
    """It is counted by what it is now."""
    bench.stops.add(HERE, LOST, life=1)
    bench.stops.add(HERE, UnreadableError("damaged"), life=1)

    assert bench.stops.counts() == {"unreadable": 1}
    assert bench.metrics.total(PARTITION_STOPS) == 2


def test_a_new_life_of_its_shard_tries_again(bench: Bench) -> None:
    """The offset has been read again by then: somebody may have set it right."""
    bench.stops.add(HERE, LOST, life=1)
    before = bench.changes

    assert not bench.stops.holds(HERE, 2)
    assert HERE not in bench.stops
    assert bench.changes > before


def test_what_is_withdrawn_stays_so_over_every_life(bench: Bench) -> None:
    """Its topic is gone, and an opening shard must not ask for it."""
    bench.stops.add(HERE, UnknownTopicError("in"), life=1)
    bench.stops.withdraw(HERE, UnknownTopicError("in"))

    assert bench.stops.holds(HERE, 99)
    assert bench.stops.withdrawn == {HERE}
    assert bench.metrics.total(PARTITION_STOPS, "missing") == 1

    bench.stops.release(HERE)
    assert bench.stops.withdrawn == set()
    assert not bench.stops.holds(HERE, 99)


def test_it_is_told_at_once_and_then_now_and_then(bench: Bench, lines: list[EventDict]) -> None:
    """With the partition, the reason and what to do; a stop that comes and goes floods no log."""
    for at_s in (0, 1, TOLD_S - 1, TOLD_S, TOLD_S + 1):
        bench.clock.at_ms = int(at_s * 1_000)
        bench.stops.add(HERE, LOST, life=1)
        bench.stops.release(HERE)

    assert [line["event"] for line in lines] == ["partition_stopped"] * 2
    assert lines[0]["partition"] == "in:0"
    assert lines[0]["error"] == "offset 5 is gone"
    assert "reset-offsets" in lines[0]["advice"]


def test_another_reason_is_told_at_once(bench: Bench, lines: list[EventDict]) -> None:
    """It asks for something else."""
    bench.stops.add(HERE, LOST, life=1)
    bench.stops.add(HERE, UnreadableError("damaged"), life=1)
    assert [line["reason"] for line in lines] == ["offset_lost", "unreadable"]


def test_what_is_no_longer_ours_is_forgotten(bench: Bench, lines: list[EventDict]) -> None:
    """Another worker has it; when it comes back and still stands, that is news."""
    bench.stops.add(HERE, LOST, life=1)
    bench.stops.withdraw(THERE, UnknownTopicError("in"))
    bench.stops.keep([HERE])
    assert [stop.partition for stop in bench.stops] == [HERE]
    assert bench.stops.withdrawn == set()

    bench.stops.keep([])
    bench.stops.add(HERE, LOST, life=1)
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
    assert reason in STOP_REASONS
