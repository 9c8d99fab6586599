"""The transactions of one shard, one at a time: outputs, offsets and maps of all its partitions together (I4)."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple, Protocol

import structlog

from schemas.records import Partition, ProducerRecord
from streams.engine.crash_tracking import CrashTracking
from streams.engine.open_transactions import OpenTransactions
from streams.engine.output_check import RECALL_S, OutputCheck
from streams.engine.runtime import Runtime
from streams.handler import Outputs
from streams.offsets.offset_map import encode
from streams.offsets.relocation import Relocation, Relocator
from streams.offsets.tracker import MOST_BYTES, CommitStep, Tracker
from streams.scheduling.commit_pacing import CommitRests
from streams.telemetry.metric_definitions import RECORDS, RELOCATIONS, TRANSACTION_SECONDS, TRANSACTIONS
from streams.telemetry.outcomes import counted, outcome_of
from streams.transport.errors import FencedError, TopicStarvedError, TransportError, UnknownTopicError
from streams.transport.open_transactions import OpenTransactionError
from streams.transport.protocol.describe_producers import OpenTransaction
from streams.transport.protocol.record_batches import OffsetCallback
from streams.transport.transactional_producer import TransactionalProducer

TOPIC_CHECK_AFTER_S = 0.5
"""Seconds after which a transaction is checked for a topic that is missing or accepts no writes. aiokafka would wait
for such a topic without end."""

EARLY_COMMIT_MAX = 8
"""The most completions of a partition that may commit early. With more, waiting for the commit interval pays."""

METADATA_LIMIT = 512 * 1024
"""Characters of offset maps in one transaction. Further maps wait for the next one."""


log = structlog.get_logger()


class ShardTransaction(NamedTuple):
    """The content of one transaction."""

    steps: list[CommitStep]
    initial_commits: list[Partition]
    outputs: list[ProducerRecord]
    copies: list[tuple[ProducerRecord, OffsetCallback]]
    """The copies of relocated records, each with the callback that takes its offset."""

    offsets: dict[Partition, tuple[int, str]]

    @property
    def written(self) -> list[ProducerRecord]:
        """All records of the transaction."""
        return [*self.outputs, *(copy for copy, _ in self.copies)]


class CommitterShard(Protocol):
    """The shard, as its committer sees it."""

    runtime: Runtime
    alive: bool
    trackers: dict[Partition, Tracker]
    initial_commits: dict[Partition, tuple[int, Outputs]]
    relocator: Relocator
    crash_tracking: CrashTracking
    open_transactions: OpenTransactions

    @property
    def producer(self) -> TransactionalProducer:
        """The transactional producer of this life."""
        ...

    def look(self) -> None:
        """Resolve the relocated runs whose copies have been seen."""
        ...

    def started(self, partition: Partition) -> None:
        """Take up *partition*, whose first offset has been committed."""
        ...


class Committer:
    """The committer of one shard, the only writer of its partitions' offsets.

    It runs until the shard is dropped, fenced, or in doubt.
    """

    def __init__(self, shard: CommitterShard) -> None:
        self._shard = shard
        self._runtime = shard.runtime
        self._dirty: set[Tracker] = set()
        self._in_flight = False
        self._last = float("-inf")
        self._commit_rests = CommitRests()
        self._queued_all_at = float("-inf")
        self._waiting_since: float | None = None
        self._commit_now = asyncio.Event()
        self._gathering = False
        """True while it waits for more completions to share the next transaction."""

        self._doubt: str | None = None
        self._forgotten: dict[Partition, OpenTransaction] = {}
        self._output_check = OutputCheck(shard.runtime)
        self.wake = asyncio.Event()
        """Set when there may be something to commit."""
        self.waiting = 0
        """Completions that are not visible yet."""

        self.bytes = 0
        """Bytes of the values that these completions write."""

        self.ended = 0
        """Transactions that have ended, committed or not."""

        self.fenced = False
        """True if another producer has taken the shard's id since the last opening."""

        self.committed = 0
        """Transactions that were committed."""

        self._duration = shard.runtime.metrics.tally(TRANSACTION_SECONDS)

    @property
    def busy(self) -> bool:
        """True if an outcome is not visible yet, or the shard's ownership mark has to be committed."""
        return self.waiting > 0 or self._in_flight or bool(self._shard.crash_tracking.unsaid())

    @property
    def has_delayed(self) -> bool:
        """True if a finished record waits until its topic accepts it."""
        return any(tracker.delayed for tracker in self._shard.trackers.values())

    def stalled(self) -> bool:
        """Return True if a completion has waited longer than ``max_commit_delay_s``."""
        since = self._waiting_since
        return since is not None and self._runtime.clock.monotonic() - since > self._runtime.config.max_commit_delay_s

    def add(self, tracker: Tracker) -> None:
        """Queue the newest completion of *tracker* for the next transaction."""
        self._dirty.add(tracker)
        self.waiting += 1
        self.bytes += tracker.pending[-1].size
        if self._waiting_since is None:
            self._waiting_since = self._runtime.clock.monotonic()
        if self.waiting == self._runtime.config.batch or (self._gathering and self._may_be_early(tracker)):
            self._commit_now.set()
        self.wake.set()

    def moved(self, tracker: Tracker) -> None:
        """Queue *tracker*, whose watermark can advance: no record that it passed has to run."""
        self._dirty.add(tracker)
        self.wake.set()

    def reopen(self, reason: str) -> None:
        """Make the shard reopen, between two transactions."""
        self._doubt = reason
        self.wake.set()

    def end_first(self, forgotten: Mapping[Partition, OpenTransaction]) -> None:
        """End these open transactions before the next transaction."""
        self._forgotten |= forgotten
        self.wake.set()

    def restart(self) -> None:
        """Count the pending completions again after a reopen, and commit them."""
        self._doubt, self.fenced = None, False
        self._forgotten.clear()
        self._runtime.topic_health.forget()
        self._dirty = {tracker for tracker in self._shard.trackers.values() if tracker.pending}
        self._queued_all_at = self._runtime.clock.monotonic()
        self._recount_and_reset()
        self.wake.set()

    def _recount(self) -> None:
        self.waiting = sum(len(tracker.pending) for tracker in self._dirty)
        self.bytes = sum(entry.size for tracker in self._dirty for entry in tracker.pending)

    def _recount_and_reset(self) -> None:
        self._recount()
        self._waiting_since = self._runtime.clock.monotonic() if self.waiting else None

    async def run(self) -> str:
        """Commit until the shard has to reopen or is dropped. Return the reason."""
        while self._shard.alive:
            await self._wait_until_due()
            if self._doubt is not None:
                return self._doubt
            if doubt := await self._end_forgotten():
                return doubt
            await self._check_outputs()
            transaction = self._next()
            if transaction is None:
                self._reset_timer()
            elif doubt := await self._commit(transaction):
                return doubt
        return "dropped"

    async def _end_forgotten(self) -> str | None:
        forgotten, self._forgotten = self._forgotten, {}
        return await self._shard.open_transactions.end(self._shard.producer, forgotten) if forgotten else None

    async def _check_outputs(self) -> None:
        """Prepare the next batch. An output that cannot be written would abort the transaction for all partitions."""
        if recalled := self._output_check.recall(self._shard.trackers.values()):
            self._dirty.update(recalled)
            self._recount()
        self._shard.look()
        self._shard.relocator.begin(self._dirty)
        await self._output_check.sort(self._dirty)

    def _reset_timer(self) -> None:
        """Reset the commit timer: the remaining completions wait for an earlier offset."""
        self._recount_and_reset()
        self._waiting_since = None

    async def _wait_until_due(self) -> None:
        """Wait until the next transaction is due.

        An idle shard commits at once, a busy one at its interval, a full one earlier. A partition with sparse records
        commits at once: there is nothing to gather, and the interval would only add latency.
        """
        clock, config = self._runtime.clock, self._runtime.config
        with suppress(TimeoutError):
            async with asyncio.timeout(self._max_idle_wait_s()):
                await self.wake.wait()
        pause = self._last + self._commit_rests.interval_s(self._runtime.commit_pacing.interval_s()) - clock.monotonic()
        if pause > 0 and self.waiting < config.batch and not any(map(self._may_be_early, self._dirty)):
            await self._gather(pause)
        self.wake.clear()
        self._last = clock.monotonic()

    async def _gather(self, pause_s: float) -> None:
        """Wait at most *pause_s* seconds for more completions.

        A full batch, or a completion that may commit early, ends the wait.
        """
        self._commit_now.clear()
        self._gathering = True
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._commit_now.wait()
        finally:
            self._gathering = False

    def _may_be_early(self, tracker: Tracker) -> bool:
        """Return True, and count it, if *tracker* may commit before its interval ends.

        Each partition is judged by itself: sparse records become visible at once, however many other partitions have.
        """
        if not 0 < len(tracker.pending) <= EARLY_COMMIT_MAX:
            return False
        rested = self._commit_rests.rested(tracker, self._runtime.clock.monotonic())
        return rested and self._runtime.early.take(tracker.partition)

    def _max_idle_wait_s(self) -> float:
        """Return the longest wait without a wake-up.

        Outcomes set aside and doubtful relocations have to be checked regularly.
        """
        return RECALL_S if self.has_delayed or self._shard.relocator.doubts else self._runtime.config.keepalive_s / 10

    def _next(self) -> ShardTransaction | None:
        initial_commits = list(self._shard.initial_commits)
        offsets = {partition: (self._shard.initial_commits[partition][0], "") for partition in initial_commits}
        outputs = [output for partition in initial_commits for output in self._shard.initial_commits[partition][1]]
        copies: list[tuple[ProducerRecord, OffsetCallback]] = []
        steps: list[CommitStep] = []
        for step, text in self._steps():
            steps.append(step)
            offsets[step.tracker.partition] = (step.low, text)
            for finished in step.batch:
                if finished.move is None:
                    outputs += finished.outputs
                else:
                    copies += [(output, finished.move.placed) for output in finished.outputs]
        offsets |= self._shard.crash_tracking.unsaid()
        return ShardTransaction(steps, initial_commits, outputs, copies, offsets) if offsets else None

    def _steps(self) -> Iterator[tuple[CommitStep, str]]:
        """Yield each partition's part of the next transaction, with its offset map."""
        config, now = self._runtime.config, self._runtime.clock.monotonic()
        self._queue_keepalives(now)
        limit = max(1, config.batch // max(1, len(self._dirty)))
        size, left = 0, MOST_BYTES
        for tracker in sorted(
            self._dirty, key=_first_waiting
        ):  # oldest commit first: else the last partitions might starve
            step = tracker.collect(limit, now, config.keepalive_s, left) if tracker.alive else None
            if step is None:
                if not (tracker.alive and tracker.pending):
                    self._dirty.discard(tracker)
                continue
            text = encode(step.low, step.done)
            size += len(text)
            left -= sum([entry.size for entry in step.batch])
            if size > METADATA_LIMIT:
                break
            yield step, text
            if left <= 0:
                break

    def _queue_keepalives(self, now: float) -> None:
        """Queue every partition from time to time: unchanged offsets have to be committed again."""
        if now - self._queued_all_at >= self._runtime.config.keepalive_s / 10:
            self._queued_all_at = now
            self._dirty.update(self._shard.trackers.values())

    async def _commit(self, transaction: ShardTransaction) -> str | None:
        """Commit one transaction. Return the doubt it leaves, or None. The reopen reads what really happened (I15)."""
        producer = self._shard.producer
        if transaction.copies:
            for step in transaction.steps:
                self._shard.relocator.send(step.batch)
        self._in_flight, began, outcome = True, self._runtime.clock.monotonic(), "committed"
        try:
            async with asyncio.timeout(self._runtime.config.transaction_deadline_s):
                await self._transact(producer, transaction)
        except Exception as error:  # noqa: BLE001 - fenced, refused, unknown: all end in the same doubt
            cause = _cause(error)
            outcome = outcome_of(cause)
            if isinstance(cause, OpenTransactionError):
                self.wake.set()
                return await self._shard.open_transactions.end(producer, cause.found)
            self.fenced = isinstance(cause, FencedError)
            self._runtime.topic_health.refuse(cause)
            return f"transaction failed: {cause!r}"
        finally:
            self._in_flight = False
            self.ended += 1
            self._runtime.commit_pacing.count()
            self._runtime.metrics.count(TRANSACTIONS, outcome)
            seconds = self._runtime.clock.monotonic() - began
            self._duration.observe(seconds)
            self._commit_rests.note((step.tracker for step in transaction.steps), seconds, began + seconds)
        self.committed += 1
        self._on_committed(transaction)
        self._runtime.handler.committed(transaction.outputs, list(transaction.offsets), seconds)
        return None

    async def _transact(self, producer: TransactionalProducer, transaction: ShardTransaction) -> None:
        async with asyncio.TaskGroup() as group:
            outputs, copies = transaction.outputs, transaction.copies
            watch = group.create_task(self._watch(transaction))
            await producer.transact(outputs, transaction.offsets, self._runtime.handler.group, copies)
            watch.cancel()

    async def _watch(self, transaction: ShardTransaction) -> None:
        """Raise TopicStarvedError or UnknownTopicError once a slow transaction waits for a topic without writes.

        The input topics are checked too: committing the offsets of a missing topic would fail without end.
        """
        while True:
            await asyncio.sleep(TOPIC_CHECK_AFTER_S)
            if trouble := await self._runtime.topic_health.trouble(transaction.written):
                starved = self._runtime.topic_health.fault(trouble) == "starved"
                raise (TopicStarvedError if starved else UnknownTopicError)(trouble.topic)
            await self._withdraw_missing(transaction.offsets)

    async def _withdraw_missing(self, places: Collection[Partition]) -> None:
        try:
            absent = await self._runtime.consumer.missing_topics({place.topic for place in places})
        except TransportError:  # unknown; the transaction has its own deadline
            return
        for place in places:
            error = absent.get(place.topic)
            if isinstance(error, UnknownTopicError):
                self._runtime.paused.withdraw(place, error)
                raise error

    def _on_committed(self, transaction: ShardTransaction) -> None:
        now, metrics = self._runtime.clock.monotonic(), self._runtime.metrics
        for step in transaction.steps:
            step.tracker.settle(step, now)
            if not step.tracker.pending and not step.tracker.moved():
                self._dirty.discard(step.tracker)
        for partition in transaction.initial_commits:
            self._shard.started(partition)
        if transaction.copies:
            self._note(
                [relocation for step in transaction.steps for relocation in self._shard.relocator.settle(step.batch)]
            )
        self._shard.crash_tracking.settled(transaction.offsets)
        self._recount_and_reset()
        for outcome, count in counted(transaction.steps).items():
            metrics.count(RECORDS, outcome, by=count)
        self._runtime.in_flight.changed.set()
        if self._dirty or self._shard.initial_commits or self._shard.crash_tracking.unsaid():
            self.wake.set()

    def _note(self, arrived: list[Relocation]) -> None:
        group, metrics = self._runtime.handler.group, self._runtime.metrics
        metrics.count(RELOCATIONS, by=len(arrived))
        for relocation in arrived:
            log.info(
                "run_relocated",
                group=group,
                partition=str(relocation.tracker.partition),
                first=relocation.first,
                to=relocation.offset,
            )


def _first_waiting(tracker: Tracker) -> float:
    return tracker.touched


def _cause(error: Exception) -> Exception:
    """Return the first error, without the exception groups around it."""
    return _cause(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error
