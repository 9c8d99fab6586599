"""Retry tiers: when a run is tried again, and the mover that is never early."""

from __future__ import annotations

import asyncio

import pytest

from consumers.resilience.cancel import Cancels
from producers.stage_records import screened_record
from schemas.admissions import AdmissionEvent
from schemas.errors import HeadraceError, InternalError, ModelOverloadedError, ToolFailedError
from schemas.headers import SEAL, with_input
from schemas.records import Partition, ProducerRecord, Record
from schemas.results import Result
from schemas.stage_records import Screened
from schemas.topics import DEAD_LETTERS, RETRIES_10M, RETRIES_10S
from schemas.usage import ModelSpend, RunUsage, UsageRecord
from streams.handler import Outputs
from streams.stages import retries
from streams.stages.retries import DUE_AT, RETRY_IN, RetryMover, RetryTiers
from tests.unit.producers import samples
from tests.unit.producers.samples import TRACE
from tests.unit.streams.engine.shard_setup import NOW, SEALS, StillClock, as_read, builder, header

pytestmark = pytest.mark.anyio

HOUR_S = 3_600


class World:
    """Tiers and mover under a clock that each sleep moves on."""

    def __init__(self, deadline_s: int = 4 * HOUR_S) -> None:
        self.clock = StillClock()
        self.tiers = RetryTiers(builder(self.clock, "agent"))
        self.cancels = Cancels(self.clock)
        self.mover = RetryMover.of(builder(self.clock, "retries"), self.cancels).handler()
        admission = samples.ADMISSION.model_copy(update={"deadline_ms": NOW + deadline_s * 1_000})
        authorized = samples.AUTHORIZED.model_copy(update={"admission": admission})
        self.stage_record = samples.SCREENED.model_copy(update={"authorized": authorized})

    async def sleep(self, seconds: float) -> None:
        assert 0 < seconds <= 60, "so that a corrected clock is noticed"
        self.clock.at_ms += max(1, round(seconds * 1_000))

    def again(self, error: HeadraceError, attempt: int = 1) -> ProducerRecord | None:
        return self.tiers.again(self.stage_record.model_copy(update={"attempt": attempt}), error, TRACE)

    async def move(self, record: Record) -> Outputs:
        made = self.mover.prepare(1, record).run()
        return made if isinstance(made, list) else await made


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """One whose sleeps take no time."""
    made = World()
    monkeypatch.setattr(asyncio, "sleep", made.sleep)
    return made


def waited_s(world: World) -> float:
    """What the clock has moved on."""
    return (world.clock.at_ms - NOW) / 1_000


@pytest.mark.parametrize(
    ("attempt", "asked", "tier", "due_s"),
    [
        (1, None, "10s", 10),
        (2, None, "1m", 60),
        (1, 5, "10s", 10),
        (1, 10.5, "10s", 10.5),
        (1, 61, "1m", 61),
        (1, 120, "1m", 120),
        (1, 599, "1m", 599),
        (1, 0, "10s", 10),
        (1, -5, "10s", 10),
        (2, 5, "1m", 60),
        (1, 1_800, "10m", 1_800),
        (1, float("nan"), "10s", 10),
        (1, "soon", "10s", 10),
    ],
)
def test_a_run_waits_as_long_as_its_attempt_or_its_provider_says(
    world: World, attempt: int, asked: float | None, tier: str, due_s: float
) -> None:
    """Whichever is longer; what a provider sends that is no time is none."""
    again = world.again(ModelOverloadedError(retry_after=asked), attempt)

    assert again is not None
    assert again.topic == f"platform.retries.{tier}"
    assert header(again, RETRY_IN) == str(int(due_s * 1_000))
    assert header(again, DUE_AT) == str(NOW + int(due_s * 1_000))
    assert header(again, "headrace-attempt") == str(attempt + 1)
    assert header(again, "headrace-error-code") == "model_overloaded"
    assert Screened.model_validate_json(again.value or b"").attempt == attempt + 1
    SEALS.verify(again.topic, again.key, again.value, header(again, SEAL))


@pytest.mark.parametrize(
    ("error", "attempt"),
    [(InternalError(), 1), (ToolFailedError(retryable=False), 1), (ModelOverloadedError(), 3)],
)
def test_what_is_permanent_or_has_been_tried_enough_is_not_tried_again(
    world: World, error: HeadraceError, attempt: int
) -> None:
    """The caller is told instead."""
    assert world.again(error, attempt) is None


def test_a_run_that_would_come_back_after_its_deadline_is_not_tried_again() -> None:
    """It could only expire; its caller learns the real reason, and at once."""
    assert World(deadline_s=10).again(ModelOverloadedError()) is None
    assert World(deadline_s=11).again(ModelOverloadedError()) is not None
    assert World(deadline_s=1_800).again(ModelOverloadedError(retry_after=1_800)) is None


async def test_a_record_comes_back_when_its_delay_has_passed_and_not_before(world: World) -> None:
    """The delay counts from the broker's time: it survives restarts."""
    again = world.again(ModelOverloadedError(), 2)
    assert again is not None

    (back,) = await world.move(as_read(again._replace(partition=1)))

    assert waited_s(world) == 60
    assert (back.topic, back.partition, back.key) == ("platform.screened", 1, again.key)
    assert back.value == again.value
    SEALS.verify("platform.screened", back.key, back.value, header(back, SEAL))
    assert (header(back, "traceparent") or "")[3:35] == "1" * 32
    assert dict(back.headers)["kafka_correlationId"] == samples.ORIGIN.correlation_id
    assert header(back, DUE_AT) is None


async def test_a_record_whose_delay_has_passed_while_nobody_was_there_comes_back_at_once(world: World) -> None:
    """After an outage."""
    again = world.again(ModelOverloadedError())
    assert again is not None
    world.clock.at_ms += 20_000

    (back,) = await world.move(as_read(again))

    assert back.topic == "platform.screened"
    assert waited_s(world) == 20


@pytest.mark.parametrize("step_s", [-300, 300])
async def test_a_step_of_the_clock_makes_nothing_early_and_nothing_late(
    world: World, monkeypatch: pytest.MonkeyPatch, step_s: int
) -> None:
    """F20: what counts is the broker's stamp, and the time that has passed since."""
    again = world.again(ModelOverloadedError())
    assert again is not None

    async def stepping(seconds: float) -> None:
        await world.sleep(min(seconds, 4.0))
        world.clock.step_ms = step_s * 1_000

    monkeypatch.setattr(asyncio, "sleep", stepping)
    await world.move(as_read(again))

    assert waited_s(world) == 10


@pytest.mark.parametrize("wrong_s", [-300, 300])
async def test_a_run_is_tried_again_in_time_though_the_clock_of_its_worker_is_wrong(world: World, wrong_s: int) -> None:
    """F20: how long counts from the broker's stamp. Until when, the worker that gave up may not know."""
    world.clock.step_ms = wrong_s * 1_000
    again = world.again(ModelOverloadedError())
    assert again is not None
    world.clock.step_ms = 0

    (back,) = await world.move(as_read(again))

    assert back.topic == "platform.screened"
    assert waited_s(world) == 10


async def test_what_is_due_later_than_its_tier_goes_through_tiers_until_it_is(world: World) -> None:
    """A provider may ask for half an hour: coming back early would burn an attempt."""
    again = world.again(ModelOverloadedError(retry_after=1_885))
    assert again is not None
    topics = [again.topic]
    output = again
    while output.topic != "platform.screened":
        (output,) = await world.move(as_read(output._replace(partition=1), at_ms=world.clock.at_ms))
        topics.append(output.topic)
        assert output.partition == 1

    assert topics == [
        *3 * ["platform.retries.10m"],
        "platform.retries.1m",
        *2 * ["platform.retries.10s"],
        "platform.screened",
    ]
    assert waited_s(world) == 1_885
    assert Screened.model_validate_json(output.value or b"").attempt == 2


@pytest.mark.parametrize("asked", [10.5, 61, 120, 599, 601])
async def test_a_wait_between_two_tiers_is_as_long_as_the_provider_asks(world: World, asked: float) -> None:
    """Two minutes are two minutes, and not the ten of the next tier."""
    output = world.again(ModelOverloadedError(retry_after=asked))
    assert output is not None
    while output.topic != "platform.screened":
        (output,) = await world.move(as_read(output, at_ms=world.clock.at_ms))

    assert waited_s(world) == asked


async def test_a_run_that_is_cancelled_while_it_waits_says_what_it_has_used(world: World) -> None:
    """Its first attempt was paid for."""
    share = ModelSpend(model="m", calls=1, input_tokens=7, output_tokens=3)
    used = RunUsage(input_tokens=7, output_tokens=3, model_calls=1, models=(share,))
    again = world.tiers.again(world.stage_record, ModelOverloadedError(), TRACE, used)
    assert again is not None
    world.cancels.cancel(world.stage_record.authorized.run_id)

    result, _, usage = await world.move(as_read(again))

    assert Result.model_validate_json(result.value or b"").usage == used.total
    assert UsageRecord.model_validate_json(usage.value or b"").models == (share,)


async def test_the_reasons_travel_along_from_tier_to_tier(world: World) -> None:
    """An operator who looks into a tier sees why the record is there."""
    again = world.again(ModelOverloadedError(retry_after=1_800))
    assert again is not None

    (output,) = await world.move(as_read(with_input(again, b"platform.screened:0:7")))

    assert header(output, "headrace-error-code") == "model_overloaded"
    assert header(output, "headrace-input") is None
    assert sum(name == SEAL for name, _ in output.headers) == 1
    SEALS.verify(output.topic, output.key, output.value, header(output, SEAL))


@pytest.mark.parametrize("due", [b"", b"tomorrow", b"-5", b"9" * 5_000, "١٢٣".encode(), None])
async def test_a_wait_that_cannot_be_read_is_none(world: World, due: bytes | None) -> None:
    """Headers are not under the seal: they may delay a run, to its deadline at most, and break nothing."""
    record = as_read(screened_record(world.stage_record, SEALS, TRACE, topic=RETRIES_10S))

    (back,) = await world.move(record._replace(headers=(*record.headers, (RETRY_IN, due))))

    assert back.topic == "platform.screened"
    assert waited_s(world) == 10


async def test_a_wait_without_end_holds_a_run_to_its_deadline_at_most(world: World) -> None:
    """Then the agent stage says that it has expired."""
    record = as_read(screened_record(world.stage_record, SEALS, TRACE, topic=RETRIES_10M))
    (moved,) = await world.move(record._replace(headers=(*record.headers, (RETRY_IN, b"9" * 15))))
    while moved.topic != "platform.screened":
        (moved,) = await world.move(as_read(moved, at_ms=world.clock.at_ms))

    assert waited_s(world) == 4 * HOUR_S


async def test_a_forged_record_is_buried_at_once(world: World) -> None:
    """It is not kept for ten minutes first."""
    forged = as_read(screened_record(world.stage_record, SEALS, TRACE, topic=RETRIES_10M))._replace(headers=())

    (dead_letter,) = await world.move(forged)

    assert dead_letter.topic == DEAD_LETTERS.name
    assert waited_s(world) == 0


def test_each_shard_moves_its_partition_of_every_tier(world: World) -> None:
    """And each record waits for itself alone."""
    assert world.mover.route(3) == {Partition(f"platform.retries.{tier}", 3) for tier in ("10s", "1m", "10m")}
    record = as_read(screened_record(world.stage_record, SEALS, TRACE, topic=RETRIES_10S))
    lanes = {world.mover.prepare(3, record._replace(offset=offset)).lane for offset in range(3)}
    assert len(lanes) == 3
    assert world.mover.window == retries.WAITING


async def test_a_run_that_waits_to_be_tried_again_is_cancelled_where_it_waits() -> None:
    """Its caller is told at once, and not in ten minutes; the door hears that it is over."""
    world = World()
    record = as_read(screened_record(world.stage_record, SEALS, TRACE, topic=RETRIES_10M))
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        moved = tasks.create_task(world.move(record))
        await asyncio.sleep(0.01)
        assert not moved.done()
        world.cancels.cancel(world.stage_record.authorized.run_id)

    _is_cancelled(moved.result(), world)


async def test_what_was_cancelled_before_it_is_read_waits_no_more(world: World) -> None:
    """More may wait in a topic than in memory."""
    world.cancels.cancel(world.stage_record.authorized.run_id)

    outputs = await world.move(as_read(screened_record(world.stage_record, SEALS, TRACE, topic=RETRIES_10M)))

    _is_cancelled(outputs, world)
    assert waited_s(world) == 0


def _is_cancelled(outputs: Outputs, world: World) -> None:
    result, entry = outputs
    assert result.topic == world.stage_record.authorized.reply_to
    assert Result.model_validate_json(result.value or b"").status == "cancelled"
    assert AdmissionEvent.model_validate_json(entry.value or b"").state == "closed"
