"""Run jobs: lanes in parallel, the jobs of one lane one after another (I7)."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, defaultdict, deque
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import NamedTuple, Protocol

from schemas.records import Record
from streams.handler import Fallback, Job, Outputs, RunScope
from streams.offsets.tracker import Tracker
from streams.scheduling.run_slot import RunSlot
from streams.scheduling.scheduler import InFlight, PauseGate, Scheduler


class QueuedJob(NamedTuple):
    """One job in its lane."""

    tracker: Tracker
    offset: int
    job: Job
    record: Record
    size: int
    """Bytes of the record's key and value."""

    slot: RunSlot | None
    """The run slot of a job that may give it back; None if the job holds one until it ends."""


class LaneShard(Protocol):
    """The shard, as its lanes see it."""

    alive: bool

    def is_paused(self) -> bool:
        """Return True if nothing may start now: a crash would lose the work."""
        ...

    def finish(self, tracker: Tracker, offset: int, outputs: Outputs, fallback: Fallback | None) -> None:
        """Take the outcome of a record. *fallback* builds the replacement for outputs that cannot be written."""
        ...

    def on_job_error(self, error: Exception) -> None:
        """Take the error of a job. A job must not raise, so the worker cannot go on."""
        ...


def unowned(_record: Record, slot: RunSlot) -> RunScope:
    """Return the scope of a job outside a shard."""
    return RunScope(waiting=slot.waiting)


class Lanes:
    """The lanes of one shard. A job that finishes at once needs no task."""

    def __init__(
        self,
        owner: LaneShard,
        in_flight: InFlight,
        scheduler: Scheduler,
        prepare: Callable[[Record], Job],
        *,
        in_order: bool = False,
        scope: Callable[[Record, RunSlot], RunScope] = unowned,
    ) -> None:
        self._owner, self._in_flight, self._scheduler = owner, in_flight, scheduler
        self._in_order, self._scope = in_order, scope
        self.prepare = prepare
        """Turns a record into a job. It may be replaced at any time."""

        self._queues: dict[Hashable, deque[QueuedJob]] = {}
        self._tasks: dict[Hashable, asyncio.Task[None]] = {}
        self._fresh: dict[Hashable, Awaitable[Outputs] | None] = {}
        """Lanes without a running task, with the awaitable of their first job if it has started."""

        self._late: Counter[str] = Counter()
        """By tenant, jobs at the head of their lanes that have not begun. Later jobs of the tenant have to wait behind
        them."""

        self._pause_gate = PauseGate(owner)
        self.running = 0
        """Jobs that have started and not finished."""

    def add(self, tracker: Tracker, record: Record) -> None:
        """Run the record's job once its lane is free and its tenant may start one. Start it now if both hold."""
        try:
            job = self.prepare(record)
            queue = self._queues.get(job.lane)
            if queue is not None:
                queue.append(self._entry(tracker, record, job))
                return
            if self._late.get(job.tenant) or not self._scheduler.starts(job.tenant):
                self._late[job.tenant] += 1
                self._open(self._entry(tracker, record, job), None)
                return
            slot = self._slot(job)
            result = self._call(job, record, slot)
        except Exception as error:  # noqa: BLE001 - the contract is broken, whatever it is: the worker ends
            self._owner.on_job_error(error)
            return
        if isinstance(result, list):
            self._owner.finish(tracker, record.offset, result, job.fallback)
        else:
            self._scheduler.begin(job.tenant)
            self._open(self._entry(tracker, record, job, slot), result)

    def _slot(self, job: Job) -> RunSlot | None:
        return None if job.run_owned is None else RunSlot(self._scheduler, job.tenant)

    def _call(self, job: Job, record: Record, slot: RunSlot | None) -> Outputs | Awaitable[Outputs]:
        if job.run_owned is None or slot is None:
            return job.run()
        return job.run_owned(self._scope(record, slot))

    def _entry(self, tracker: Tracker, record: Record, job: Job, slot: RunSlot | None = None) -> QueuedJob:
        size = record.size
        self._in_flight.take(tracker, size)
        return QueuedJob(tracker, record.offset, job, record, size, slot)

    def _drop(self, entry: QueuedJob) -> None:
        """Release the entry's record and bytes from the in-flight limits."""
        self._in_flight.give(entry.tracker, entry.size)

    def _open(self, entry: QueuedJob, started: Awaitable[Outputs] | None) -> None:
        lane = entry.job.lane
        queue = self._queues[lane] = deque([entry])
        self._fresh[lane] = started
        _begin(self._run(lane, queue))

    async def _run(self, lane: Hashable, queue: deque[QueuedJob]) -> None:
        """Run one lane, from its first job until it is empty."""
        task = asyncio.current_task()
        if self._queues.get(lane) is not queue or task is None:  # the whole lane was discarded
            return
        self._tasks[lane] = task
        started = self._unfresh(lane, queue)
        try:
            while queue:
                entry = queue[0]
                try:
                    if started is None:
                        await self._start(queue, entry)
                    else:  # most lanes have one job: skip the checks
                        await self._await(entry, started)
                except asyncio.CancelledError:
                    if not self._owner.alive:
                        raise
                    task.uncancel()  # only this job was discarded
                started = None
                if queue and queue[0] is entry:
                    self._drop(queue.popleft())
        except Exception as error:  # noqa: BLE001 - see add()
            self._owner.on_job_error(error)
        finally:
            self._close(lane, queue)

    def _unfresh(self, lane: Hashable, queue: deque[QueuedJob]) -> Awaitable[Outputs] | None:
        """Mark the lane as taken up or discarded. Return the awaitable of its first job, if that has started."""
        if lane not in self._fresh:  # its first job was discarded
            return None
        started = self._fresh.pop(lane)
        if started is None:
            self._on_time(queue[0])
        return started

    async def _start(self, queue: deque[QueuedJob], entry: QueuedJob) -> None:
        self._late[entry.job.tenant] += 1
        try:
            called = await self._called(queue, entry)
        finally:
            self._on_time(entry)
        if called:
            await self._begin(entry)

    async def _called(self, queue: deque[QueuedJob], entry: QueuedJob) -> bool:
        """Wait until the shard is not held back and the job has a run slot. Return False if the job was discarded.

        A reopen discards a job whose outcome is visible already. A slot is given back while the shard is held back.
        Jobs that begin in order do not wait for the shard: later jobs would overtake them when the wait ends.
        """
        tenant, cost = entry.job.tenant, entry.job.cost
        while True:
            if not self._in_order:
                await self._pause_gate.over()
            if not queue or queue[0] is not entry:
                return False
            await self._scheduler.turn(tenant, cost)
            if self._in_order or not self._owner.is_paused():
                return True
            self._scheduler.end(tenant)

    def _on_time(self, entry: QueuedJob) -> None:
        tenant = entry.job.tenant
        self._late[tenant] -= 1
        if not self._late[tenant]:
            del self._late[tenant]

    async def _begin(self, entry: QueuedJob) -> None:
        """Run a job that has its slot."""
        entry = entry._replace(slot=self._slot(entry.job))
        try:
            result = self._call(entry.job, entry.record, entry.slot)
        except Exception:
            self._scheduler.end(entry.job.tenant)
            raise
        if isinstance(result, list):
            self._scheduler.end(entry.job.tenant)
            self._owner.finish(entry.tracker, entry.offset, result, entry.job.fallback)
        else:
            await self._await(entry, result)

    async def _await(self, entry: QueuedJob, started: Awaitable[Outputs]) -> None:
        self.running += 1
        try:
            outputs = await started
        finally:
            self.running -= 1
            self._end(entry)
        self._owner.finish(entry.tracker, entry.offset, outputs, entry.job.fallback)

    def _end(self, entry: QueuedJob) -> None:
        """Give the job's slot back, unless it has done so itself."""
        if entry.slot is None:
            self._scheduler.end(entry.job.tenant)
        else:
            entry.slot.close()

    def _close(self, lane: Hashable, queue: deque[QueuedJob]) -> None:
        while queue:
            self._drop(queue.popleft())
        if self._queues.get(lane) is queue:
            del self._queues[lane]
            self._tasks.pop(lane, None)

    def held(self) -> dict[Tracker, set[int]]:
        """Return the offsets that are running or waiting, by tracker."""
        held: dict[Tracker, set[int]] = defaultdict(set)
        for queue in self._queues.values():
            for entry in queue:
                held[entry.tracker].add(entry.offset)
        return held

    def alone(self, tracker: Tracker, offset: int) -> Record | None:
        """Return the record of *offset*. Return None if other records wait in its lane, or if it is absent."""
        for entry, *others in self._queues.values():
            if entry.offset == offset and entry.tracker is tracker:
                return None if others else entry.record
        return None

    def discard(self, obsolete: Callable[[QueuedJob], bool]) -> list[asyncio.Task[None]]:
        """Discard the entries that are *obsolete*, and cancel those that run. Return the cancelled tasks."""
        cancelled: list[asyncio.Task[None]] = []
        for lane, queue in list(self._queues.items()):
            head, *waiting = queue
            queue.clear()
            queue.append(head)
            for entry in waiting:
                if obsolete(entry):
                    self._drop(entry)
                else:
                    queue.append(entry)
            if obsolete(head) and (task := self._stop(lane, queue)) is not None:
                cancelled.append(task)
        return cancelled

    def _stop(self, lane: Hashable, queue: deque[QueuedJob]) -> asyncio.Task[None] | None:
        """End the job at the head of a lane. Return its task, if it has one.

        Without a task, this method releases what the job holds.
        """
        task = self._tasks.get(lane)
        if task is not None:
            task.cancel()
            return task
        started, head = self._unfresh(lane, queue), queue.popleft()
        if started is not None:
            _abandon(started)
            self._end(head)
        self._drop(head)
        if not queue:
            del self._queues[lane]
        return None

    def cancel(self) -> list[asyncio.Task[None]]:
        """Cancel everything. Return the cancelled tasks."""
        return self.discard(lambda _: True)


def _begin(handler: Coroutine[object, object, None]) -> None:
    """Start a task at once where Python can (3.12), else in the next iteration of the loop.

    The loop holds a reference to the task until then.
    """
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        asyncio.Task(handler, loop=loop, eager_start=True)
    else:
        loop.create_task(handler)  # noqa: RUF006 - its lane holds it once it has begun


def _abandon(started: Awaitable[Outputs]) -> None:
    end = getattr(started, "close", None) or getattr(started, "cancel", None)
    if end is not None:
        end()
