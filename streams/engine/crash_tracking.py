"""Crash tracking: which records may have killed a worker.

The suspects are the records that were open in a shard whose owners ended without explanation, one after another. An
owner writes its name into the metadata of the shard's own, empty partition before any job runs. It removes the name
when it begins to release the shard by plan. So another worker's name, found at an opening, marks an unexplained end:
killed, cut off, or fenced alive. After two in a row, the records that may have been running run in isolation
(``StageHandler.prepare_isolated``). This ends when all their outcomes are visible. There is no write per record, and
a name outlives every process. The same mark counts the shard's openings, for fencing tokens.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

import structlog

from consumers.fencing_token import FencingToken
from schemas.records import Partition, Record
from streams.engine.crash_mark import CrashMark, decode, encode
from streams.engine.reach import fetch_limit, reach
from streams.engine.runtime import Runtime
from streams.engine.store_tracking import StoreTracking
from streams.handler import Job
from streams.offsets.tracker import Tracker
from streams.telemetry.metric_definitions import SHARDS_SUSPECTED, UNEXPLAINED_ENDS
from streams.transport.transactional_producer import TransactionalProducer

SUSPECTED_AT = 2
"""The unexplained ends in a row after which records are suspected. One may come from the kernel or an operator, and has
no consequence."""

_ASK_S = 5.0

log = structlog.get_logger()


class Runs(Protocol):
    """The part of the lanes that decides how a record runs."""

    prepare: Callable[[Record], Job]


class CrashTracking:
    """The crash tracking of one shard.

    Without ``StageHandler.prepare_isolated`` it reads and writes nothing, and suspects no record.
    """

    def __init__(self, runtime: Runtime, number: int, runs: Runs) -> None:
        self._runtime, self._number, self._runs = runtime, number, runs
        self._place = Partition(runtime.config.shard_topic, number)
        self._plain = runs.prepare
        self._ends = 0
        self._zones: dict[Partition, int] = {}
        self._stands: CrashMark | None = None
        self._leaving = False
        self._life = 0
        self.store = StoreTracking(runtime, number)
        self.life = 0
        """The number of the newest opening whose mark is committed; 0 before the first."""

    def token(self) -> FencingToken:
        """Return the shard's fencing token as it is now. After the shard's end it is the last one."""
        return FencingToken(self._runtime.config.layout, self.life)

    # --- opening ------------------------------------------------------------------------------------------------------

    async def open(self, producer: TransactionalProducer, trackers: Collection[Tracker]) -> None:
        """Learn how the last owner ended, and write the new mark. Call it after the fence and the offset read."""
        if self._runtime.handler.prepare_isolated is None:
            return
        stands = decode(await self._runtime.offsets.note(self._place))
        if stands != self._stands:  # it opens here for the first time, or another worker has owned it since
            await self._judge(stands, trackers)
        await self.store.open(stands, trackers)
        self._life = stands.life + 1
        await self._write(producer, self._mark)

    async def _write(self, producer: TransactionalProducer, mark: CrashMark) -> None:
        """Commit the mark. Only then does its life become the token of runs: no other opening can have the same."""
        async with asyncio.timeout(self._runtime.config.transaction_deadline_s):
            await producer.transact([], {self._place: (0, encode(mark))}, self._runtime.handler.group)
        self._stands, self.life = mark, mark.life

    async def _judge(self, stands: CrashMark, trackers: Collection[Tracker]) -> None:
        unexplained = stands.owner not in {"", self._runtime.name}
        self._ends = stands.ends + unexplained
        self._zones = await self._open_zones(trackers) if self._ends else {}
        if unexplained and self._zones:
            self._runtime.metrics.count(UNEXPLAINED_ENDS)
        if not self._zones:
            self._ends = 0
        self._tell()
        self._choose()

    async def _open_zones(self, trackers: Collection[Tracker]) -> dict[Partition, int]:
        """Return by partition how far running records may reach. Their owner had read no further than the log's current
        end.
        """
        ends = await self._runtime.consumer.ends({tracker.partition for tracker in trackers}, _ASK_S)
        limit = fetch_limit(self._runtime.handler.max_in_flight)
        reached = {each: reach(each, ends.get(each.partition, 0), limit) for each in trackers}
        return {each.partition: end for each, end in reached.items() if end > each.committed}

    def _tell(self) -> None:
        facts = {"group": self._runtime.handler.group, "shard": self._number, "ends": self._ends}
        if self.suspects:
            self._runtime.metrics.count(SHARDS_SUSPECTED)
            log.warning("shard_suspected", **facts)
        elif self._ends:
            log.warning("shard_owner_lost", **facts)

    @property
    def suspects(self) -> bool:
        """True if the records that were open run in isolation."""
        return self._ends >= SUSPECTED_AT

    def _choose(self) -> None:
        self._runs.prepare = self._prepare if self.suspects else self._plain

    def _prepare(self, record: Record) -> Job:
        end, apart = (
            self._zones.get(Partition(record.topic, record.partition), 0),
            self._runtime.handler.prepare_isolated,
        )
        return self._plain(record) if apart is None or record.offset >= end else apart(self._number, record)

    # --- the mark in transactions -------------------------------------------------------------------------------------

    @property
    def _mark(self) -> CrashMark:
        owner, ends = ("", 0) if self._leaving else (self._runtime.name, self._ends)
        return CrashMark(owner, ends, self._life, self.store.text)

    def unsaid(self) -> Mapping[Partition, tuple[int, str]]:
        """Return the mark that the next transaction must commit beside its offsets, if it has changed."""
        if self._stands is None or self._stands == self._mark:
            return {}
        return {self._place: (0, encode(self._mark))}

    def settled(self, offsets: Mapping[Partition, tuple[int, str]]) -> None:
        """Note that a transaction has committed *offsets*. The suspicion ends once all records that were open are
        visible.
        """
        if self._place in offsets:
            self._stands = decode(offsets[self._place][1])
        self.store.settled(offsets)
        if self._zones:
            self._zones = {place: end for place, end in self._zones.items() if offsets.get(place, (0,))[0] < end}
            if not self._zones:
                self._clear()

    def _clear(self) -> None:
        log.info("shard_cleared", group=self._runtime.handler.group, shard=self._number, ends=self._ends)
        self._ends = 0
        self._choose()

    # --- release ------------------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """Note that the shard is released by plan: any end of this process is then explained."""
        self._leaving = True

    def stay(self) -> None:
        """Note that the shard is kept after all."""
        self._leaving = False
