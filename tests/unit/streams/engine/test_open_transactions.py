"""A transaction that a broker forgot ends as it was decided."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from schemas.records import Partition
from streams.engine import open_transactions
from streams.engine.open_transactions import FOREIGN_AFTER_S, MOST_SURVEYED, OpenTransactions
from streams.engine.topic_health import TopicHealth
from streams.offsets.offset_map import Committed
from streams.telemetry.metric_definitions import FORGOTTEN_TRANSACTIONS, PARTITION_HAS_OPEN_TRANSACTION
from streams.telemetry.metric_store import MetricStore
from streams.transport.errors import OutcomeUnknownError
from streams.transport.open_transactions import FencedId
from streams.transport.protocol.describe_producers import OpenTransaction
from streams.transport.protocol.requests import Producer
from tests.unit.streams.engine.shard_setup import StillClock

pytestmark = pytest.mark.anyio

IN, OUT = Partition("in", 0), Partition("out", 0)
MAIN, SPARE = 7, 8
"""Producer ids."""


class Id:
    """A producer of both ids of a shard, from its fence on."""

    def __init__(self, epoch: int, inputs: Collection[int] = ()) -> None:
        self.fenced = {
            MAIN: FencedId("main", Producer(MAIN, epoch)),
            SPARE: FencedId("spare", Producer(SPARE, epoch + 10)),
        }
        self.inputs = {(IN, offset) for offset in inputs}
        self.ended: list[tuple[Partition, OpenTransaction, bool]] = []
        self.error: Exception | None = None
        self.open: list[OpenTransaction] = []
        self.left = {OUT}
        self.deferred: set[Partition] = set()
        self.blocked = False
        self.free = False
        self.taken_up: Collection[Partition] = ()

    def take_up(self, places: Collection[Partition]) -> None:
        self.taken_up = places

    async def fence_blocked(self) -> bool:
        return self.blocked and self.free

    async def look(self) -> Mapping[Partition, OpenTransaction]:
        if self.error is not None:
            raise self.error
        return dict.fromkeys([OUT], self.open[-1]) if self.open else {}

    async def inputs_of(self, _: Partition, __: OpenTransaction) -> set[tuple[Partition, int]]:
        return self.inputs

    async def end_forgotten(self, place: Partition, found: OpenTransaction, *, commit: bool) -> None:
        if self.error is not None:
            raise self.error
        self.ended.append((place, found, commit))

    async def open_transactions(self, _: Partition) -> list[OpenTransaction]:
        return self.open


class Setup:
    """A shard that has met an open transaction."""

    def __init__(self) -> None:
        self.clock, self.metrics = StillClock(), MetricStore("agent")
        self.surveyed: Collection[Partition] = ()
        self.now: dict[Partition, Committed] = {}
        self.tasks: list[Coroutine[Any, Any, None]] = []
        self.topic_health = TopicHealth(nothing, self.clock)
        runtime: Any = SimpleNamespace(
            clock=self.clock,
            metrics=self.metrics,
            topic_health=self.topic_health,
            offsets=SimpleNamespace(read=self.read),
            config=SimpleNamespace(transaction_deadline_s=1.0),
            handler=SimpleNamespace(group="group", survey=lambda number: self.surveyed if number == 3 else ()),
            tasks=SimpleNamespace(spawn=self.tasks.append),
        )
        self.transactions = OpenTransactions(runtime, 3)

    async def read(self, partitions: Collection[Partition]) -> dict[Partition, Committed]:
        return {partition: state for partition, state in self.now.items() if partition in partitions}

    def opens(self, producer: Id, committed: Mapping[Partition, Committed]) -> None:
        theirs: Any = producer
        self.transactions.opened(theirs, committed)

    async def ends(self, producer: Id, epoch: int, producer_id: int = MAIN) -> bool:
        """Whether it commits an open transaction of that epoch."""
        theirs: Any = producer
        found = OpenTransaction(Producer(producer_id, epoch), 40, 0)
        assert await self.transactions.end(theirs, {OUT: found}) is None
        ((place, ended, commit),) = producer.ended
        producer.ended.clear()
        assert (place, ended) == (OUT, found)
        return commit


async def nothing(_: Collection[str]) -> dict[str, Any]:
    """No topic is known."""
    return {}


@pytest.mark.parametrize(
    ("state", "commit"),
    [(Committed(6, set()), True), (Committed(3, {5}), True), (Committed(5, set()), False), (Committed(3, {4}), False)],
)
async def test_an_earlier_life_s_transaction_was_committed_if_its_input_is_done(
    state: Committed, *, commit: bool
) -> None:
    """In the offset or in the map, as they were read after the fence."""
    setup, producer = Setup(), Id(epoch=20, inputs=[5])
    setup.opens(producer, {IN: state})

    assert await setup.ends(producer, epoch=19) is commit
    assert await setup.ends(producer, epoch=29, producer_id=SPARE) is commit
    assert setup.metrics.total(FORGOTTEN_TRANSACTIONS, "committed" if commit else "aborted") == 2


async def test_a_transaction_of_this_life_was_committed() -> None:
    """Any other end of it would have ended the life. In version 1 of the protocol they all have the fence's epoch."""
    setup, producer = Setup(), Id(epoch=20, inputs=[5])
    setup.opens(producer, {IN: Committed(5, set())})

    assert await setup.ends(producer, epoch=20) is True
    assert await setup.ends(producer, epoch=23) is True


async def test_the_first_opening_after_a_transaction_decides_about_it() -> None:
    """Its input may have been done since, with other outputs: showing its own too would be a second result."""
    setup, first, second = Setup(), Id(epoch=20), Id(epoch=30, inputs=[5])
    setup.opens(first, {IN: Committed(5, set())})
    setup.opens(second, {IN: Committed(9, set())})

    assert await setup.ends(second, epoch=19) is False
    assert await setup.ends(second, epoch=25) is True


async def test_an_output_without_an_input_is_aborted() -> None:
    """Nothing says that it was committed; every output of ours names its input."""
    setup, producer = Setup(), Id(epoch=20)
    setup.opens(producer, {IN: Committed(9, set())})

    assert await setup.ends(producer, epoch=19) is False


async def test_offsets_of_a_partition_that_came_later_are_read_now() -> None:
    """A tenant's partition may be younger than the opening; no other shard ever commits it."""
    setup, producer = Setup(), Id(epoch=20, inputs=[-1])
    setup.opens(producer, {})

    assert await setup.ends(producer, epoch=19) is False
    setup.now[IN] = Committed(0, set())
    assert await setup.ends(producer, epoch=19) is True


async def test_a_transaction_that_cannot_be_ended_blocks_its_partition_and_leaves_a_doubt() -> None:
    """Its marker may be on its way: only the fence of a new life makes the id certain again."""
    setup, producer = Setup(), Id(epoch=20)
    producer.error = OutcomeUnknownError("no answer")
    setup.opens(producer, {})
    theirs: Any = producer

    doubt = await setup.transactions.end(theirs, {OUT: OpenTransaction(Producer(MAIN, 19), 40, 0)})

    assert doubt is not None
    assert doubt.startswith("open transaction of out:0 not ended")
    assert OUT in setup.topic_health._blocked  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


async def test_an_open_transaction_of_another_producer_is_reported_if_it_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A busy one is not suspicious, and an old one is asked about again; the operator gets a command."""
    monkeypatch.setattr(open_transactions, "FOREIGN_AGAIN_S", 0.0)
    setup, producer = Setup(), Id(epoch=20)
    setup.opens(producer, {})
    fresh, old = (
        OpenTransaction(Producer(99, 0), 40, setup.clock.now_ms() - round(age * 1_000))
        for age in (FOREIGN_AFTER_S, FOREIGN_AFTER_S + 1)
    )
    for found in (fresh, old, old):
        setup.transactions.note_foreign(OUT, found)
    (look,) = setup.tasks

    with capture_logs() as logs:
        producer.open = [old]
        await look

    assert setup.metrics.total(PARTITION_HAS_OPEN_TRANSACTION) == 1
    ((event, command),) = [(entry["event"], entry["next"]) for entry in logs]
    assert event == "partition_has_open_transaction"
    assert command.endswith("abort --topic out --partition 0 --start-offset 40")


async def test_an_open_transaction_that_ends_is_not_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow producer of a foreign system is none of our business."""
    monkeypatch.setattr(open_transactions, "FOREIGN_AGAIN_S", 0.0)
    setup, producer = Setup(), Id(epoch=20)
    setup.opens(producer, {})
    setup.transactions.note_foreign(OUT, OpenTransaction(Producer(99, 0), 40, 0))

    await setup.tasks[0]

    assert setup.metrics.total(PARTITION_HAS_OPEN_TRANSACTION) == 0


async def test_what_one_life_has_left_the_next_one_looks_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Committed readers of the partition wait, even if the shard never writes to it again."""
    monkeypatch.setattr(open_transactions, "WATCH_S", 0.0)
    setup, first, second = Setup(), Id(epoch=20), Id(epoch=30)
    setup.opens(first, {})
    setup.opens(second, {})
    assert second.taken_up == {OUT}
    told: list[Mapping[Partition, OpenTransaction]] = []
    told_reason: list[str] = []
    found = OpenTransaction(Producer(MAIN, 19), 40, 0)
    second.error = OutcomeUnknownError("no answer")
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(setup.transactions.watch(told.append, told_reason.append))
        await asyncio.sleep(0.01)
        second.error, second.open = None, [found]
        while not told:  # noqa: ASYNC110 - any time now
            await asyncio.sleep(0.01)
        watch.cancel()

    assert told[0] == {OUT: found}


async def test_a_blocked_id_that_is_free_again_reopens_the_shard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its open transactions can be ended only after a fence, and the spare id alone would never fence it."""
    monkeypatch.setattr(open_transactions, "WATCH_S", 0.0)
    setup, spare, reasons = Setup(), Id(epoch=20), list[str]()
    spare.blocked, spare.left, spare.deferred = True, set(), {OUT}
    setup.opens(spare, {})
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        watch = tasks.create_task(setup.transactions.watch(lambda _: None, reasons.append))
        await asyncio.sleep(0.01)
        assert not reasons
        spare.free = True
        await watch
    first = Id(epoch=30)
    setup.opens(first, {})

    assert reasons == ["blocked transactional id fenced"]
    assert first.taken_up == {OUT}


@pytest.mark.parametrize(("count", "asked"), [(MOST_SURVEYED, MOST_SURVEYED), (MOST_SURVEYED + 1, 0)])
async def test_a_new_owner_looks_at_what_a_former_one_may_have_left(count: int, asked: int) -> None:
    """A tenant's last result may wait there; in a large cluster the question would cost too much."""
    setup, producer = Setup(), Id(epoch=20)
    setup.surveyed = [Partition("out", number) for number in range(count)]

    setup.opens(producer, {})

    assert len(producer.taken_up) == asked
