"""One shard while this process may own it: fenced, opened, reopened after any doubt, handed over or dropped."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Mapping
from functools import partial

import structlog

from schemas.headers import input_position, with_input
from schemas.records import Partition, Record
from streams.engine.committer import Committer
from streams.engine.config import transactional_id
from streams.engine.crash_tracking import CrashTracking
from streams.engine.fencing import fenced
from streams.engine.initial_offsets import InitialOffsets
from streams.engine.lanes import Lanes, QueuedJob
from streams.engine.open_transactions import OpenTransactions
from streams.engine.runtime import Runtime
from streams.handler import Fallback, Outputs, RunScope
from streams.offsets.offset_map import Committed
from streams.offsets.relocation import Relocator
from streams.offsets.tracker import Tracker
from streams.scheduling.run_slot import RunSlot
from streams.telemetry.metric_definitions import DROPPED_RUNS, OPENS, REOPENS, reason_of
from streams.transport.errors import AccessDeniedError
from streams.transport.transactional_producer import TransactionalProducer

_FIRST_BACKOFF_S, _LONGEST_BACKOFF_S = 0.1, 2.0
_HEALTHY_AFTER_S = 10.0
"""A shard that was open for this long has not failed, even if it committed nothing."""

_POLL_S = 0.02
_DELAYED_TIMEOUT_S = 4.0
"""The time for which a hand-over waits for outcomes set aside. By then it is known if a topic is new or missing. The
wait is no longer, because the shard admits no records meanwhile and a topic may accept none for hours."""

_CANCEL_S = 5.0

log = structlog.get_logger()


class Shard:
    """The unit of ownership, fencing and committing: its partitions, one producer, one transaction at a time (I4)."""

    def __init__(self, runtime: Runtime, number: int, released: Callable[[Shard], None]) -> None:
        self.runtime, self.number = runtime, number
        self.alive, self.draining, self.opened = True, False, False
        self.trackers: dict[Partition, Tracker] = {}
        self.assigned_now: frozenset[Partition] = frozenset()
        """The partitions that belonged to it at the last call of ``route``."""
        self.initial_commits: dict[Partition, tuple[int, Outputs]] = {}
        """Partitions without a committed offset: where they begin, and the outputs to write with that first commit."""
        prepare = partial(runtime.handler.prepare, number)
        self.lanes = Lanes(
            self,
            runtime.in_flight,
            runtime.scheduler,
            prepare,
            in_order=runtime.handler.in_order,
            scope=self._scope,
        )
        self.relocator = Relocator(
            runtime.config.relocation_distance, self._relocatable_record, self._enqueue_completion
        )
        self.crash_tracking = CrashTracking(runtime, number, self.lanes)
        self.open_transactions = OpenTransactions(runtime, number)
        self.committer = Committer(self)
        self.beginnings = InitialOffsets(runtime, self._untrack)
        self.task: asyncio.Task[None] | None = None
        self._on_released = released
        self._producer: TransactionalProducer | None = None
        self._memory_loaded = False
        self._expulsions = -1
        self._repartitioning = asyncio.Lock()

    @property
    def producer(self) -> TransactionalProducer:
        """The producer since the last opening. Raise RuntimeError before the first one."""
        if self._producer is None:
            raise RuntimeError("the shard has not been opened")
        return self._producer

    @property
    def ready(self) -> bool:
        """True if its partitions are to be polled."""
        return self.opened and not self.draining

    def is_paused(self) -> bool:
        """Return True if no job may start now: a crash would lose the work."""
        return self.runtime.halted or not self.ready or self.committer.stalled()

    def has_capacity(self) -> bool:
        """Return True if more records may be admitted."""
        limits, committer = self.runtime.config, self.committer
        full = committer.waiting >= limits.max_pending or committer.bytes >= limits.max_pending_bytes
        return self.ready and not full and not self.is_paused()

    def finish(self, tracker: Tracker, offset: int, outputs: Outputs, fallback: Fallback | None = None) -> None:
        """Take the outcome of a record. The outcome of a relocated run completes its new offset."""
        if not (self.relocator.runs and self.relocator.finish(tracker, offset, outputs, fallback)):
            self._enqueue_completion(tracker, offset, outputs, fallback)

    def _enqueue_completion(self, tracker: Tracker, offset: int, outputs: Outputs, fallback: Fallback | None) -> None:
        """Queue the outcome for a transaction. A late outcome changes nothing (I6)."""
        if self.alive and tracker.expects(offset):
            tracker.finish(offset, outputs, fallback)
            self.committer.add(tracker)

    def _relocatable_record(self, tracker: Tracker, offset: int) -> Record | None:
        return self.lanes.alone(tracker, offset) if self.runtime.handler.relocates else None

    def look(self) -> None:
        """Resolve doubtful relocations by their copies: keep those that are open here, end those that another owner has
        run.
        """
        if void := {(relocation.tracker, relocation.first) for relocation in self.relocator.look()}:
            self.lanes.discard(lambda entry: (entry.tracker, entry.offset) in void)

    def on_job_error(self, error: Exception) -> None:
        """Fail the worker, because a job raised."""
        self.runtime.fail(f"a job of shard {self.number} raised {error!r}")

    # --- ownership, as its runs see it --------------------------------------------------------------------------------

    def _scope(self, record: Record, slot: RunSlot) -> RunScope:
        return RunScope(
            token=self.crash_tracking.token,
            owned_until=self.owned_until,
            may_start=self.may_start,
            waiting=slot.waiting,
            started_before=partial(self.crash_tracking.store.started_before, record),
        )

    def owned_until(self) -> float:
        """Return the monotonic time until which no other worker can own the shard; -inf if one may own it now.

        A worker that its group has expelled owns the shard again once it has opened it again.
        """
        membership = self.runtime.membership
        lost = not self.alive or self.committer.fenced or self._expulsions != membership.expulsions
        return -math.inf if lost or not membership.holds(self.number) else membership.owned_until()

    def may_start(self) -> bool:
        """Return True if a run may start something outside Kafka now."""
        return self.runtime.clock.monotonic() < self.owned_until()

    def confirm(self) -> None:
        """Reopen if the group has expelled this worker since the opening: another one may have owned the shard."""
        if self.opened and self._expulsions != self.runtime.membership.expulsions:
            self.committer.reopen("expelled from the group")

    # --- opening and reopening ----------------------------------------------------------------------------------------

    async def live(self) -> None:
        """Open the shard, commit its work, and reopen it after any doubt, until it is dropped or handed over."""
        since, pause = float("-inf"), _FIRST_BACKOFF_S
        clock = self.runtime.clock
        while self.alive:
            await self.runtime.membership.confirmed(since)
            began, committed = clock.monotonic(), self.committer.committed
            reason = await self._open_and_commit()
            since = clock.monotonic()
            # If nothing can be committed, perhaps for lack of CPU, repeated opening would use up the rest of it.
            made_progress = self.committer.committed > committed or since - began > _HEALTHY_AFTER_S
            pause = _FIRST_BACKOFF_S if made_progress else min(_LONGEST_BACKOFF_S, pause * 2)
            self._note(reason)
            await self._close()
            if self.draining:  # fenced during the hand-over: no work can be finished
                self._on_released(self)
                return
            await asyncio.sleep(pause)

    async def _open_and_commit(self) -> str:
        try:
            async with asyncio.timeout(self.runtime.config.open_deadline_s):
                await self._open()
        except Exception as error:  # noqa: BLE001 - whatever the reason, and whoever's memory failed: open again
            return f"open failed: {error!r}"
        spawn, committer = self.runtime.tasks.spawn, self.committer
        watch = spawn(self.open_transactions.watch(committer.end_first, committer.reopen))
        follow = spawn(self.crash_tracking.store.follow(self.trackers, committer.wake.set))
        try:
            return await committer.run()
        finally:
            watch.cancel()
            follow.cancel()

    def _note(self, reason: str) -> None:
        self.runtime.metrics.count(REOPENS, reason_of(reason))
        log.warning("shard_closed", group=self.runtime.handler.group, shard=self.number, reason=reason)

    async def _open(self) -> None:
        """Fence, then read (I5). After the fence, commits of the former owner or our own doubtful transaction are
        final.
        """
        runtime, expulsions = self.runtime, self.runtime.membership.expulsions
        self._producer = await fenced(
            partial(_new_producer, runtime, self.open_transactions),
            transactional_id(runtime.handler.group, runtime.config.layout, self.number),
        )
        self._memory_loaded = True
        await runtime.handler.load_memory(self.number)
        routing = await self._load(self._producer)
        await self.crash_tracking.open(self._producer, self.trackers.values())
        self.committer.restart()
        self.opened, self._expulsions = True, expulsions
        self.confirm()
        if routing != runtime.routing:  # repartition() skipped this shard while it was opening
            runtime.tasks.spawn(self.repartition())
        runtime.metrics.count(OPENS)
        runtime.changed()
        log.info(
            "shard_opened",
            group=runtime.handler.group,
            shard=self.number,
            partitions=len(self.trackers) + len(self.initial_commits),
            life=self.crash_tracking.life,
        )

    async def _load(self, producer: TransactionalProducer) -> int:
        """Read offsets and maps until no partition has come or gone meanwhile. Return the routing version that was
        read.
        """
        routing = -1
        committed: dict[Partition, Committed] = {}
        while routing != self.runtime.routing:
            routing = self.runtime.routing
            partitions = self._refresh_assigned()
            self._untrack_others(partitions)
            committed = await self._committed(partitions)
            self._queue_initial_commits(await self.beginnings.of(self._not_paused(partitions) - committed.keys()))
            self._restore(committed)
        self.open_transactions.opened(producer, committed)
        return routing

    def _restore(self, committed: Mapping[Partition, Committed]) -> None:
        """Restore the trackers from the committed state. Runs continue over a reopen, unless their outcome is visible
        already.
        """
        self.relocator.resolve(committed)
        self.lanes.discard(partial(self._is_visible, committed))
        running, now = self.lanes.held(), self.runtime.clock.monotonic()
        for partition, state in committed.items():
            tracker = self.trackers.get(partition) or self._tracker(partition)
            places = self.relocator.places(tracker, running.get(tracker, ()))
            held = {offset for offset in places if not state.holds(offset)}
            tracker.restore(state, held, now)

    def _is_visible(self, committed: Mapping[Partition, Committed], entry: QueuedJob) -> bool:
        state = committed.get(entry.tracker.partition)
        if state is None or self.relocator.knows(entry.tracker, entry.offset):
            return False
        return state.holds(entry.offset)

    def _tracker(self, partition: Partition) -> Tracker:
        tracker = self.trackers[partition] = Tracker(partition, self.runtime.handler.window)
        return tracker

    async def _close(self) -> None:
        """Close the shard. From here on it polls and starts nothing; state that may survive a reopen is kept."""
        self._mark_closed()
        if not self.runtime.handler.keeps_runs:
            await self._cancel_runs()
        if self._producer is not None:  # not awaited: it may have to abandon a request, and the fence is enough
            self.runtime.tasks.spawn(self._producer.kill())

    def _mark_closed(self) -> None:
        self.opened = False
        self.initial_commits.clear()
        self.runtime.changed()
        if self._memory_loaded:
            self._memory_loaded = False
            self.runtime.handler.forget(self.number)

    async def _cancel_runs(self) -> None:
        """End the runs that were decided on the lost memory, before that memory is rebuilt."""
        for tracker in self.trackers.values():
            tracker.alive = False
        self.trackers.clear()
        self.relocator.forget()
        cancelled = self.lanes.cancel()
        if cancelled:
            _, alive = await asyncio.wait(cancelled, timeout=_CANCEL_S)
            if alive:
                log.error("runs_not_cancelled", group=self.runtime.handler.group, shard=self.number, runs=len(alive))

    # --- added and removed partitions ---------------------------------------------------------------------------------

    async def repartition(self) -> None:
        """Apply a change of ``route``. New partitions have always belonged to this shard, so our fence covers them."""
        async with self._repartitioning:
            try:
                async with asyncio.timeout(self.runtime.config.open_deadline_s):
                    await self._track_new()
            except Exception as error:  # noqa: BLE001 - whatever the reason: opening asks for all of them again
                self.committer.reopen(f"repartition failed: {error!r}")

    async def _track_new(self) -> None:
        partitions, life = self._refresh_assigned(), self._producer
        self._untrack_others(partitions)
        new = partitions - self.trackers.keys() - self.initial_commits.keys()
        committed = await self._committed(new)
        beginnings = await self.beginnings.of(self._not_paused(new) - committed.keys())
        if self.ready and self._producer is life:  # else the reopening has called route() again
            self._queue_initial_commits(beginnings)
            for partition, state in committed.items():
                self._begin(partition, state)

    def _refresh_assigned(self) -> set[Partition]:
        self.assigned_now = frozenset(self.runtime.handler.route(self.number))
        return self._not_paused(self.assigned_now)

    def _not_paused(self, partitions: Collection[Partition]) -> set[Partition]:
        """Return *partitions* without those that are withdrawn because they cannot be read or committed."""
        return set(partitions) - self.runtime.paused.withdrawn

    async def _committed(self, partitions: Collection[Partition]) -> dict[Partition, Committed]:
        """Return offsets and maps. Withdraw partitions that an access list forbids, and read the others again."""
        while True:
            try:
                return await self.runtime.offsets.read(self._not_paused(partitions))
            except AccessDeniedError as error:
                forbidden = {partition for partition in partitions if partition.topic in error.topics}
                if not forbidden:
                    raise
                for partition in forbidden:
                    self.runtime.paused.withdraw(partition, error)
                self._untrack_others(self._not_paused(self.trackers.keys() | self.initial_commits.keys()))

    def _untrack_others(self, partitions: Collection[Partition]) -> None:
        for partition in [known for known in self.trackers if known not in partitions]:
            self._untrack(partition)
        for partition in [known for known in self.initial_commits if known not in partitions]:
            del self.initial_commits[partition]

    def _untrack(self, partition: Partition) -> None:
        """Stop tracking *partition* and discard its work, if it is tracked."""
        tracker = self.trackers.pop(partition, None)
        if tracker is None:
            return
        tracker.alive = False
        self.relocator.forget(tracker)
        self.lanes.discard(lambda entry: entry.tracker is tracker)
        self.runtime.changed()

    def _begin(self, partition: Partition, state: Committed) -> None:
        self._tracker(partition).restore(state, set(), self.runtime.clock.monotonic())
        self.runtime.changed()

    def _queue_initial_commits(self, beginnings: Mapping[Partition, tuple[int, Outputs]]) -> None:
        for partition in beginnings:
            self._untrack(partition)  # it had an offset before, and its log may have been recreated
        self.initial_commits |= {
            partition: (offset, [with_input(output, input_position(partition, offset - 1)) for output in outputs])
            for partition, (offset, outputs) in beginnings.items()
        }
        self.committer.wake.set()

    def started(self, partition: Partition) -> None:
        """Start to track *partition*: its first offset has been committed."""
        first = self.initial_commits.pop(partition, None)
        if first is not None:
            self._begin(partition, Committed(first[0], set()))

    # --- hand-over and end --------------------------------------------------------------------------------------------

    async def hand_over(self, limit_s: float) -> None:
        """Hand the shard over by plan: finish the running jobs, commit them, and release the shard.

        *limit_s* limits the running jobs. Finished work may wait longer for a slow commit, except at shutdown.
        """
        clock = self.runtime.clock
        self.crash_tracking.leave()
        self.committer.wake.set()
        began = clock.monotonic()
        end = began + limit_s
        last = end if self.runtime.stopping else end + self.runtime.config.transaction_deadline_s
        while self.alive and self.draining and self.opened:
            now = clock.monotonic()
            running = self.lanes.running and self.runtime.handler.drains and now < end
            apart = self.committer.has_delayed and now < min(end, began + _DELAYED_TIMEOUT_S)
            if not (running or apart or (self.committer.busy and now < last)):
                break
            await asyncio.sleep(_POLL_S)
        if self.alive and self.draining:
            self._note_apart()
            self._on_released(self)

    def _note_apart(self) -> None:
        """Log the outcomes set aside: the next owner of the shard runs their records again."""
        if self.committer.has_delayed:
            log.warning(
                "outcomes_abandoned",
                group=self.runtime.handler.group,
                shard=self.number,
                partitions=sorted(str(each.partition) for each in self.trackers.values() if each.delayed),
            )

    def drop(self) -> None:
        """Drop the shard, which another worker may own now. Running jobs are cancelled; later completions are ignored
        (I6).
        """
        self.alive = False
        self._mark_closed()
        self.runtime.metrics.count(DROPPED_RUNS, by=self.lanes.running)
        for tracker in self.trackers.values():
            tracker.alive = False
        self.lanes.cancel()
        if self.task is not None and self.task is not asyncio.current_task():
            self.task.cancel()
        if self._producer is not None:
            self.runtime.tasks.spawn(self._producer.kill())


def _new_producer(
    runtime: Runtime, open_transactions: OpenTransactions, transactional_id: str
) -> TransactionalProducer:
    config = runtime.config
    return TransactionalProducer(
        config.connection,
        transactional_id,
        runtime.clock,
        name=config.name,
        timeout_ms=config.transaction_timeout_ms,
        request_timeout_ms=config.request_timeout_ms,
        apart=runtime.topic_health.stands_apart,
        foreign=open_transactions.note_foreign,
    )
