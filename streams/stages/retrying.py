"""What is tried again later: tiers with fixed delays on the way out, the mover that brings records back."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from functools import partial

from consumers.resilience.cancel import Cancels
from producers.hops import screened_record
from producers.results import seconds_of
from schemas import topics
from schemas.errors import CancelledRunError, HeadraceError
from schemas.headers import ERROR_CODE, OWN_PREFIX, SEAL, Headers
from schemas.hops import Screened
from schemas.records import HeaderList, Outgoing, Partition, Record
from schemas.topics import Topic
from streams.brokertime import BrokerTime
from streams.journey import RETRIES_GROUP
from streams.metrics import RETRIES
from streams.outbox import Outbox, case_of
from streams.stages.sealed import open_hop, reject, unwritable
from streams.tracing import Trace
from streams.work import Job, Outputs, Work

ATTEMPTS = 3
"""Of one run, the first included."""

DUE_AT = "headrace-due-at"
"""Header, for people: when a run is to be tried again, in milliseconds since the epoch, by the clock of its worker."""

RETRY_IN = "headrace-retry-in"
"""Header: how long after the broker's stamp on this record a run is to be tried again, in milliseconds."""

_WAIT = re.compile("[0-9]{1,15}")

WAITING = 1_000
"""Records of one tier and shard that wait in memory; the rest waits in its topic, where it is due later anyway."""


@dataclass(frozen=True, slots=True)
class RetryTiers:
    """Decides whether and when a failed run is tried again."""

    outbox: Outbox
    attempts: int = ATTEMPTS

    def again(self, hop: Screened, error: HeadraceError, trace: HeaderList) -> Outgoing | None:
        """The record for a tier; None if another attempt would be pointless, too many, or past the deadline."""
        if not error.retryable or hop.attempt >= self.attempts:
            return None
        asked = seconds_of(error.retry_after) or 0.0
        delay, tier = self._tier(hop.attempt, asked)
        wait_ms = int(max(delay, asked) * 1_000)
        due = self.outbox.clock.now_ms() + wait_ms
        if due >= hop.authorized.deadline_ms:
            return None
        metrics = self.outbox.metrics
        metrics.count(RETRIES, error.code, metrics.tier_of(hop.authorized.tenant))
        again = hop.model_copy(update={"attempt": hop.attempt + 1})
        record = screened_record(again, self.outbox.seals, trace, topic=tier)
        return record._replace(headers=record.headers + self._reasons(again, error, due, wait_ms))

    def _tier(self, attempt: int, asked: float) -> tuple[float, Topic[Screened]]:
        """The tier of this attempt, or the first that is long enough for what the provider asked for."""
        usual = topics.RETRY_TIERS[min(attempt, len(topics.RETRY_TIERS)) - 1]
        wanted = max(usual[0], asked)
        return next((tier for tier in topics.RETRY_TIERS if tier[0] >= wanted), topics.RETRY_TIERS[-1])

    def _reasons(self, hop: Screened, error: HeadraceError, due_ms: int, wait_ms: int) -> HeaderList:
        texts = {
            "headrace-attempt": str(hop.attempt),
            DUE_AT: str(due_ms),
            RETRY_IN: str(wait_ms),
            ERROR_CODE: error.code,
            "headrace-error-class": type(error).__name__,
            "headrace-stage": self.outbox.stage,
            "headrace-worker": self.outbox.worker,
        }
        return tuple((name, text.encode()) for name, text in texts.items())


@dataclass(frozen=True, slots=True)
class RetryMover:
    """Brings each record back when the delay of its tier has passed since the broker took it, so never early.

    What is due later than that goes to a tier once more, until it is due. Steps of the worker's clock change nothing;
    at most, what has waited while no mover ran waits once more.
    """

    outbox: Outbox
    time: BrokerTime
    cancels: Cancels
    """Of what waits here, as of what runs: who is cancelled is answered at once."""

    @classmethod
    def of(cls, outbox: Outbox, cancels: Cancels) -> RetryMover:
        """A mover by the outbox's clock."""
        return cls(outbox, BrokerTime(outbox.clock), cancels)

    def work(self) -> Work:
        """The mover for the loop: partition n of each tier is shard n."""
        return Work(
            group=RETRIES_GROUP,
            route=lambda shard: {Partition(tier.name, shard) for _, tier in topics.RETRY_TIERS},
            prepare=self._prepare,
            committed=self.outbox.tracing.committed,
            window=WAITING,
            drains=False,
            max_running=1_000_000,
            max_held=1_000_000,
        )

    def _prepare(self, _shard: int, record: Record) -> Job:
        self.time.saw(record.timestamp)
        return Job(
            record.position,
            self.outbox.tracing.process(record, partial(self._handle, record)),
            lambda _, error: unwritable(self.outbox, topics.SCREENED, record, error),
        )

    async def _handle(self, record: Record, trace: Trace) -> Outputs:
        try:
            hop = open_hop(topics.SCREENED, record, self.outbox.seals)
        except HeadraceError as error:
            return reject(self.outbox, record, error, trace)
        try:
            async with self.cancels.heeded(hop.authorized.run_id):
                return await self._in_time(hop, record, trace)
        except CancelledRunError as error:
            return self.outbox.fail(case_of(hop), error, record, trace.headers)

    async def _in_time(self, hop: Screened, record: Record, trace: Trace) -> Outputs:
        await self._until(record.timestamp + _delay_ms(record))
        due = min(record.timestamp + _wait_ms(record), hop.authorized.deadline_ms)
        if tier := self._further(due):
            moved = screened_record(hop, self.outbox.seals, trace.headers, topic=tier, partition=record.partition)
            return [moved._replace(headers=moved.headers + _reasons_of(record) + self._left(due))]
        await self._until(due)
        return [screened_record(hop, self.outbox.seals, trace.headers, partition=record.partition)]

    def _further(self, due_ms: int) -> Topic[Screened] | None:
        """The longest tier that does not end too late; None if even the shortest would."""
        left = (due_ms - self.time.now_ms()) / 1_000
        return next((tier for delay, tier in reversed(topics.RETRY_TIERS) if delay <= left), None)

    def _left(self, due_ms: int) -> HeaderList:
        return ((RETRY_IN, b"%d" % (due_ms - self.time.now_ms())),)

    async def _until(self, due_ms: int) -> None:
        """Wakes at least once a minute: by then the time may be known better."""
        while (left := due_ms - self.time.now_ms()) > 0:  # noqa: ASYNC110 - time is the event
            await asyncio.sleep(min(left / 1_000, 60))


def _delay_ms(record: Record) -> int:
    return int(next(delay for delay, tier in topics.RETRY_TIERS if tier.name == record.topic) * 1_000)


def _wait_ms(record: Record) -> int:
    """How long the record is to wait, as its header says; not at all if it says nothing that can be read.

    Not until when: that would be by the clock of the worker that wrote it, which may be minutes wrong.
    """
    text = Headers(record.headers).text(RETRY_IN) or ""
    return int(text) if _WAIT.fullmatch(text) else 0


def _reasons_of(record: Record) -> HeaderList:
    return tuple(
        (name, value) for name, value in record.headers if name.startswith(OWN_PREFIX) and name not in {SEAL, RETRY_IN}
    )
