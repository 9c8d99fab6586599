"""Who may have killed a worker: what was open in a shard whose owners ended, one after another, without a word.

An owner writes its name into the metadata of the shard's own, empty partition before anything runs, and takes it back
when it begins to let go by plan. A stranger's name that is found at an opening is therefore an unexplained end: killed,
cut off, or fenced alive. After two in a row whatever may have been running runs apart (``Work.apart``), until all of it
is visible. Nothing is written per record, and a name outlives every process.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple, Protocol

import structlog

from schemas.records import Partition, Record
from streams.metrics import SUSPECTED, UNEXPLAINED_ENDS
from streams.runtime import Runtime
from streams.tracker import Tracker
from streams.transport.publisher import Publisher
from streams.work import Job

SUSPECTED_AT = 2
"""Unexplained ends in a row: one may be the kernel's or an operator's, and costs nobody anything."""

_VERSION = "1"
_COUNT = re.compile("[0-9]{1,4}")
_ASK_S = 5.0

log = structlog.get_logger()


class Mark(NamedTuple):
    """What stands in the metadata. No owner: the last one let go of the shard by plan."""

    owner: str = ""
    ends: int = 0
    """Unexplained ends in a row, the shard's records standing where they stood."""


def encode(mark: Mark) -> str:
    """The mark as text."""
    return f"{_VERSION}|{mark.owner}|{mark.ends}"


def decode(text: str) -> Mark:
    """The mark in *text*; of another version, or unreadable: nobody is suspected."""
    version, _, rest = text.partition("|")
    owner, _, ends = rest.partition("|")
    return Mark(owner, int(ends)) if version == _VERSION and _COUNT.fullmatch(ends) else Mark()


class Runs(Protocol):
    """The lanes, as far as they can be told how to run a record."""

    prepare: Callable[[Record], Job]


class Suspicion:
    """One shard's. Without ``Work.apart`` it asks nothing, says nothing and suspects nobody."""

    def __init__(self, runtime: Runtime, number: int, runs: Runs) -> None:
        self._runtime, self._number, self._runs = runtime, number, runs
        self._place = Partition(runtime.parameters.shard_topic, number)
        self._plain = runs.prepare
        self._ends = 0
        self._zones: dict[Partition, int] = {}
        self._stands: Mark | None = None
        self._leaving = False

    # --- the beginning ------------------------------------------------------------------------------------------------

    async def open(self, publisher: Publisher, trackers: Collection[Tracker]) -> None:
        """The shard is fenced and its offsets are read: learn how its last owner ended, and say who owns it now."""
        if self._runtime.work.apart is None:
            return
        stands = decode(await self._runtime.offsets.note(self._place))
        if stands != self._stands:  # it opens for the first time, or others have been here since
            await self._judge(stands, trackers)
        if stands != self._mark:
            async with asyncio.timeout(self._runtime.parameters.transaction_deadline_s):
                await publisher.transact([], {self._place: (0, encode(self._mark))}, self._runtime.work.group)
        self._stands = self._mark

    async def _judge(self, stands: Mark, trackers: Collection[Tracker]) -> None:
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
        """How far what was running may reach in each partition. Its owner had read no further than the log goes now."""
        ends = await self._runtime.fetcher.ends({tracker.partition for tracker in trackers}, _ASK_S)
        limit = 2 * self._runtime.work.max_held  # tenants take turns; markers of transactions count as offsets
        reached = {each: reach(each, ends.get(each.partition, 0), limit) for each in trackers}
        return {each.partition: end for each, end in reached.items() if end > each.committed}

    def _tell(self) -> None:
        facts = {"group": self._runtime.work.group, "shard": self._number, "ends": self._ends}
        if self.suspects:
            self._runtime.metrics.count(SUSPECTED)
            log.warning("shard_suspected", **facts)
        elif self._ends:
            log.warning("shard_owner_lost", **facts)

    @property
    def suspects(self) -> bool:
        """Whether what was open runs apart."""
        return self._ends >= SUSPECTED_AT

    def _choose(self) -> None:
        self._runs.prepare = self._prepare if self.suspects else self._plain

    def _prepare(self, record: Record) -> Job:
        end, apart = self._zones.get(Partition(record.topic, record.partition), 0), self._runtime.work.apart
        return self._plain(record) if apart is None or record.offset >= end else apart(self._number, record)

    # --- what is to be said -------------------------------------------------------------------------------------------

    @property
    def _mark(self) -> Mark:
        return Mark() if self._leaving else Mark(self._runtime.name, self._ends)

    def unsaid(self) -> Mapping[Partition, tuple[int, str]]:
        """What the next transaction has to say beside its offsets."""
        if self._stands is None or self._stands == self._mark:
            return {}
        return {self._place: (0, encode(self._mark))}

    def settled(self, offsets: Mapping[Partition, tuple[int, str]]) -> None:
        """A transaction has committed *offsets*. Nobody is suspected once everything is visible that was open."""
        if self._place in offsets:
            self._stands = decode(offsets[self._place][1])
        if self._zones:
            self._zones = {place: end for place, end in self._zones.items() if offsets.get(place, (0,))[0] < end}
            if not self._zones:
                self._clear()

    def _clear(self) -> None:
        log.info("shard_cleared", group=self._runtime.work.group, shard=self._number, ends=self._ends)
        self._ends = 0
        self._choose()

    # --- the end ------------------------------------------------------------------------------------------------------

    def leave(self) -> None:
        """The shard is let go of by plan: whatever becomes of this process, nobody wonders."""
        self._leaving = True

    def stay(self) -> None:
        """It is kept after all."""
        self._leaving = False


def reach(tracker: Tracker, end: int, limit: int) -> int:
    """Where *limit* offsets that are not done lie between the watermark and it; *end* if there are fewer."""
    offset, left = tracker.committed, limit
    while offset < end and left:
        left -= offset not in tracker.done
        offset += 1
    return offset
