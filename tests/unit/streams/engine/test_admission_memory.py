"""Doors that are rebuilt from the inbox before they decide anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from producers.admissions import admission_record, serving_record
from schemas.admissions import AdmissionKey, serving_key
from schemas.records import Partition, ProducerRecord
from schemas.tenants import DlqLimit
from schemas.topics import ADMISSIONS, shard_of
from streams.engine.admission_memory import AdmissionMemory
from streams.telemetry.metric_definitions import DEAD_LETTER_BREAKER_OPENS
from streams.telemetry.metric_store import MetricStore
from tests.unit.streams.engine.shard_setup import NOW, REQUESTS, SHARDS, FakeLog, FakeReader, State, StillClock

pytestmark = pytest.mark.anyio

SHARD = shard_of("acme", SHARDS)
INBOX_PARTITION = Partition(ADMISSIONS.name, SHARD)
SERVED = Partition(REQUESTS, 0)


def admission(name: str, *, tenant: str = "acme") -> AdmissionKey:
    """Of a request that has a lane of its own."""
    return AdmissionKey(key=f"{tenant}|{name}", body="b", lane=name, request_id=name, deadline_ms=NOW)


def entry(state: State, name: str) -> ProducerRecord:
    """One record of the inbox."""
    return admission_record(state, admission(name), shards=SHARDS, trace=(), now_ms=NOW)


class MemorySetup:
    """The doors of a worker, on a log that the test writes."""

    def __init__(self) -> None:
        self.log = FakeLog()
        self.reader = FakeReader(self.log)
        self.metrics = MetricStore("auth")
        self.limit_of: DlqLimit | None = None
        self.admission_memory = AdmissionMemory(
            self.reader, SHARDS, StillClock(), self.metrics, lambda _: self.limit_of
        )

    def write(self, state: State, *names: str) -> None:
        for name in names:
            self.log.write(entry(state, name))

    def in_flight(self) -> int:
        return self.admission_memory.of("acme").in_flight("acme")

    async def settled(self) -> None:
        for _ in range(20):
            await asyncio.sleep(0)


@asynccontextmanager
async def house() -> AsyncGenerator[tuple[MemorySetup, asyncio.TaskGroup]]:
    """Doors that are kept up to date meanwhile."""
    built = MemorySetup()
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        following = group.create_task(built.admission_memory.follow())
        yield built, group
        following.cancel()


async def test_a_door_opens_with_everything_that_was_in_the_log() -> None:
    """Also the markers at its end count as read."""
    async with house() as (built, _):
        built.write("open", "a", "b", "c")
        built.write("closed", "b")
        built.log.mark(INBOX_PARTITION)
        await built.admission_memory.load_memory(SHARD)

        assert built.in_flight() == 2
        assert [built.admission_memory.of("acme").lookup(admission(name)) for name in ("b", "x")] == ["joined", "new"]


async def test_a_door_stays_shut_while_an_open_transaction_holds_back_what_was_committed() -> None:
    """Stopping at the last stable offset would forget what the former owner let in, and let it in again."""
    async with house() as (built, group):
        built.write("open", "a")
        built.log.held[INBOX_PARTITION] = 1
        built.write("closed", "z")  # of a worker whose transaction is open
        built.write("open", "b")  # committed by the former owner
        opening = group.create_task(built.admission_memory.load_memory(SHARD))
        await asyncio.sleep(0.03)
        assert not opening.done()

        del built.log.held[INBOX_PARTITION]
        await opening
        assert built.in_flight() == 2


async def test_what_comes_after_the_fence_does_not_keep_the_door_shut() -> None:
    """Others go on writing; only what stood there at the fence is waited for."""
    async with house() as (built, _):
        built.write("open", "a")
        await built.admission_memory.load_memory(SHARD)
        built.log.held[INBOX_PARTITION] = 1
        built.write("closed", "a")
        await built.settled()
        assert built.in_flight() == 1

        del built.log.held[INBOX_PARTITION]
        await built.settled()
        assert built.in_flight() == 0


async def test_a_door_that_is_forgotten_is_rebuilt_from_what_is_committed_alone() -> None:
    """What was decided and came to nothing must not count."""
    async with house() as (built, _):
        built.write("open", "a")
        await built.admission_memory.load_memory(SHARD)
        former = built.admission_memory.of("acme")
        await former.enter(admission("b"), 9)
        built.admission_memory.forget(SHARD)
        with pytest.raises(KeyError):
            built.admission_memory.of("acme")
        assert built.reader.partitions == frozenset()
        await built.admission_memory.load_memory(SHARD)

        assert built.admission_memory.of("acme") is not former
        assert built.in_flight() == 1


async def test_an_opening_that_is_given_up_leaves_nothing_behind() -> None:
    """The open deadline may pass, or the shard be taken away, while the door is read."""
    async with house() as (built, group):
        built.write("open", "a")
        built.log.held[INBOX_PARTITION] = 0
        opening = group.create_task(built.admission_memory.load_memory(SHARD))
        await built.settled()
        opening.cancel()
        built.admission_memory.forget(SHARD)
        await built.settled()
        assert opening.cancelled()
        del built.log.held[INBOX_PARTITION]
        await built.admission_memory.load_memory(SHARD)

        assert built.in_flight() == 1


async def test_the_doors_of_a_worker_are_apart() -> None:
    """One shard closes, another goes on."""
    other = next(f"t{n}" for n in range(100) if shard_of(f"t{n}", SHARDS) != SHARD)
    async with house() as (built, _):
        built.write("open", "a")
        built.log.write(admission_record("open", admission("x", tenant=other), shards=SHARDS, trace=(), now_ms=NOW))
        for shard in (SHARD, shard_of(other, SHARDS)):
            await built.admission_memory.load_memory(shard)
        built.admission_memory.forget(SHARD)

        assert built.admission_memory.of(other).in_flight(other) == 1


async def test_it_says_which_partitions_are_served_and_nothing_while_the_door_is_shut() -> None:
    """Asked in a rebalance, the shard may have gone meanwhile: that is no error."""
    key = serving_key("acme", SERVED)
    async with house() as (built, _):
        built.log.write(serving_record("acme", SERVED, shards=SHARDS, trace=(), now_ms=NOW))
        assert not built.admission_memory.is_served("acme", key)
        await built.admission_memory.load_memory(SHARD)
        assert built.admission_memory.is_served("acme", key)
        assert not built.admission_memory.is_served("acme", serving_key("acme", Partition(REQUESTS, 1)))


async def test_an_entry_that_cannot_be_read_stops_nothing() -> None:
    """It is logged, and the entries beside it are taken up."""
    async with house() as (built, _):
        built.write("open", "a")
        built.log.write(ProducerRecord(ADMISSIONS.name, b"acme|a", b"{", partition=SHARD))
        built.log.write(ProducerRecord(ADMISSIONS.name, None, b'{"state": "open"}', partition=SHARD))
        built.write("open", "b")
        built.log.write(ProducerRecord(ADMISSIONS.name, b"acme|b", None, partition=SHARD))
        await built.admission_memory.load_memory(SHARD)

        assert built.in_flight() == 1


async def test_a_door_that_was_shut_is_shut_again_after_a_takeover() -> None:
    """What the inbox says of dead letters outlives the worker that counted them; and somebody hears of it."""
    async with house() as (built, _):
        built.limit_of = DlqLimit(count=3, cool_down=9)
        for number in range(3):
            closed = admission_record(
                "closed", admission(f"{number}"), shards=SHARDS, trace=(), now_ms=NOW, dead_lettered=True
            )
            built.log.write(closed)
        await built.admission_memory.load_memory(SHARD)
        breaker = built.admission_memory.of("acme").breaker("acme")

        assert breaker.open_for_ms() == 9_000
        assert built.metrics.total(DEAD_LETTER_BREAKER_OPENS) == 1


async def test_a_rebuilt_door_counts_dead_letters_over_the_window_of_its_tenant() -> None:
    """From the first entry on, and not only once the tenant sends something again."""
    async with house() as (built, _):
        built.limit_of = DlqLimit(count=3, window=600, cool_down=300)
        for number, ago_s in enumerate((200, 100, 0)):
            closed = admission_record(
                "closed", admission(f"{number}"), shards=SHARDS, trace=(), now_ms=NOW, dead_lettered=True
            )
            built.log.write(closed._replace(timestamp=NOW - ago_s * 1_000))
        await built.admission_memory.load_memory(SHARD)

        assert built.admission_memory.of("acme").breaker("acme").open_for_ms() == 300_000
