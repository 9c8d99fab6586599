"""Retries: the tiers with fixed delays for failed runs, and the mover that brings their records back."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from functools import partial

from consumers.resilience.cancel import Cancels
from producers.stage_records import screened_record
from schemas import topics
from schemas.errors import CancelledRunError, HeadraceError, seconds_of
from schemas.headers import ERROR_CODE, INPUT, OWN_PREFIX, SEAL, Headers
from schemas.records import HeaderList, Partition, ProducerRecord, Record
from schemas.stage_records import Screened
from schemas.topics import Topic
from schemas.usage import RunUsage
from streams.handler import Job, Outputs, StageHandler
from streams.journey import RETRIES_GROUP
from streams.stages.broker_time import BrokerTime
from streams.stages.record_builder import RecordBuilder
from streams.stages.reply_context import reply_context_of
from streams.stages.sealed_records import open_record, reject, unwritable
from streams.telemetry.metric_definitions import RETRIES
from streams.telemetry.trace_context import Trace

ATTEMPTS = 3
"""Attempts at one run, including the first."""

DUE_AT = "headrace-due-at"
"""Header for people: time of the next attempt, in milliseconds since the epoch, by the clock of its worker."""

RETRY_IN = "headrace-retry-in"
"""Header: milliseconds from the broker's timestamp on this record to the next attempt."""

_WAIT = re.compile("[0-9]{1,15}")

WAITING = 1_000
"""Records of one tier and shard that wait in memory. The rest is due later and waits in its topic."""


@dataclass(frozen=True, slots=True)
class RetryTiers:
    """The retry policy: decides if and when a failed run is tried again."""

    builder: RecordBuilder
    attempts: int = ATTEMPTS

    def again(
        self, stage_record: Screened, error: HeadraceError, trace: HeaderList, usage: RunUsage | None = None
    ) -> ProducerRecord | None:
        """Return the record for a tier. Return None if another attempt is pointless, too many, or past the deadline.

        *usage* is that of the run so far; by default, that of its earlier attempts.
        """
        if not error.retryable or stage_record.attempt >= self.attempts:
            return None
        usual, _ = topics.RETRY_TIERS[min(stage_record.attempt, len(topics.RETRY_TIERS)) - 1]
        wait = max(usual, seconds_of(error.retry_after) or 0.0)
        wait_ms = int(wait * 1_000)
        due = self.builder.clock.now_ms() + wait_ms
        if due >= stage_record.authorized.deadline_ms:
            return None
        metrics = self.builder.metrics
        metrics.count(RETRIES, error.code, metrics.tier_of(stage_record.authorized.tenant))
        again = stage_record.model_copy(
            update={"attempt": stage_record.attempt + 1, "usage": usage or stage_record.usage}
        )
        record = screened_record(again, self.builder.seals, trace, topic=_tier(wait))
        return record._replace(headers=record.headers + self._reasons(again, error, due, wait_ms))

    def _reasons(self, stage_record: Screened, error: HeadraceError, due_ms: int, wait_ms: int) -> HeaderList:
        texts = {
            "headrace-attempt": str(stage_record.attempt),
            DUE_AT: str(due_ms),
            RETRY_IN: str(wait_ms),
            ERROR_CODE: error.code,
            "headrace-error-class": type(error).__name__,
            "headrace-stage": self.builder.stage,
            "headrace-worker": self.builder.worker,
        }
        return tuple((name, text.encode()) for name, text in texts.items())


@dataclass(frozen=True, slots=True)
class RetryMover:
    """The stage that brings a record back after its tier's delay, counted from the broker's timestamp: never early.

    A record that is due later goes to a tier again, until it is due. Steps of the worker's clock change nothing.
    At worst, a record that waited while no mover ran waits a second time.
    """

    builder: RecordBuilder
    time: BrokerTime
    cancels: Cancels
    """The cancelled runs. A cancelled run that waits here is answered at once."""

    @classmethod
    def of(cls, builder: RecordBuilder, cancels: Cancels) -> RetryMover:
        """Create a mover that uses the record builder's clock."""
        return cls(builder, BrokerTime(builder.clock), cancels)

    def handler(self) -> StageHandler:
        """Return the mover for the engine: partition n of each tier is shard n."""
        return StageHandler(
            group=RETRIES_GROUP,
            route=lambda shard: {Partition(tier.name, shard) for _, tier in topics.RETRY_TIERS},
            prepare=self._prepare,
            committed=self.builder.tracing.committed,
            window=WAITING,
            drains=False,
            max_running=1_000_000,
            max_in_flight=1_000_000,
        )

    def _prepare(self, _shard: int, record: Record) -> Job:
        self.time.saw(record.timestamp)
        return Job(
            record.position,
            self.builder.tracing.process(record, partial(self._handle, record)),
            lambda _, error: unwritable(self.builder, topics.SCREENED, record, error),
        )

    async def _handle(self, record: Record, trace: Trace) -> Outputs:
        try:
            stage_record = open_record(topics.SCREENED, record, self.builder.seals)
        except HeadraceError as error:
            return reject(self.builder, record, error, trace)
        try:
            async with self.cancels.scope(stage_record.authorized.run_id):
                return await self._in_time(stage_record, record, trace)
        except CancelledRunError as error:
            return self.builder.fail(reply_context_of(stage_record), error, record, trace.headers)

    async def _in_time(self, stage_record: Screened, record: Record, trace: Trace) -> Outputs:
        await self._until(record.timestamp + _delay_ms(record))
        due = min(record.timestamp + _wait_ms(record), stage_record.authorized.deadline_ms)
        if tier := self._further(due):
            moved = screened_record(
                stage_record, self.builder.seals, trace.headers, topic=tier, partition=record.partition
            )
            return [moved._replace(headers=moved.headers + _reasons_of(record) + self._left(due))]
        await self._until(due)
        return [screened_record(stage_record, self.builder.seals, trace.headers, partition=record.partition)]

    def _further(self, due_ms: int) -> Topic[Screened] | None:
        """Return the longest tier that ends by *due_ms*; None if even the shortest ends later."""
        left = (due_ms - self.time.now_ms()) / 1_000
        return next((tier for delay, tier in reversed(topics.RETRY_TIERS) if delay <= left), None)

    def _left(self, due_ms: int) -> HeaderList:
        return ((RETRY_IN, b"%d" % (due_ms - self.time.now_ms())),)

    async def _until(self, due_ms: int) -> None:
        """Wait until *due_ms*. Wake at least once a minute, because newer records correct the broker time."""
        while (left := due_ms - self.time.now_ms()) > 0:  # noqa: ASYNC110 - time is the event
            await asyncio.sleep(min(left / 1_000, 60))


def _tier(wait: float) -> Topic[Screened]:
    """Return the longest tier that ends within *wait* seconds. The mover waits for the rest."""
    return next(tier for delay, tier in reversed(topics.RETRY_TIERS) if delay <= wait)


def _delay_ms(record: Record) -> int:
    return int(next(delay for delay, tier in topics.RETRY_TIERS if tier.name == record.topic) * 1_000)


def _wait_ms(record: Record) -> int:
    """Return the record's wait from its header, in milliseconds; 0 if the header is missing or unreadable.

    The header holds a duration. A time would depend on the clock of the writing worker, which may be minutes wrong.
    """
    text = Headers(record.headers).text(RETRY_IN) or ""
    return int(text) if _WAIT.fullmatch(text) else 0


def _reasons_of(record: Record) -> HeaderList:
    return tuple(
        (name, value)
        for name, value in record.headers
        if name.startswith(OWN_PREFIX) and name not in {SEAL, INPUT, RETRY_IN}
    )
