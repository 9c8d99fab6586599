"""Hand one layout over to the next: fence its shards, then copy offsets, offset maps and the admission log."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ops.errors import OffsetMissingError
from ops.relayout.admissions import AdmissionCopy
from ops.topology import Change
from schemas.clock import SystemClock
from schemas.records import Partition
from schemas.tenants import Layout
from schemas.topics import Topic
from streams.engine.config import transactional_id
from streams.engine.fencing import fenced
from streams.journey import DEPLOYED, INGRESS_GROUP, INNER_GROUPS, JourneyName, group_of, versioned
from streams.offsets.offset_map import Committed, decode
from streams.transport.admin import Admin
from streams.transport.connection import Connection
from streams.transport.groups import Groups
from streams.transport.reader import Reader
from streams.transport.transactional_producer import TransactionalProducer
from streams.transport.writer import TransactionalWriter

NAME = "headrace-relayout-handover"
AT_ONCE = 8
"""Shards fenced concurrently."""
FENCE_S = 30.0
TIMEOUT_MS = 8_000
POSITIONS = 1_000
METADATA = 256 * 1024
"""Maximum partitions, and maximum characters of offset maps, in one transaction."""

Positions = Mapping[Partition, tuple[int, str]]


def left_behind(journey: JourneyName, following: JourneyName) -> dict[str, tuple[Topic[Any], ...]]:
    """Return the groups of *journey* that *following* does not have, with the topics they read."""
    gone = {group_of(stage) for stage in DEPLOYED[journey]} - {group_of(stage) for stage in DEPLOYED[following]}
    return {group: topics for group, topics in INNER_GROUPS.items() if group in gone}


@dataclass(frozen=True, slots=True)
class Handover:
    """The handover of *layout*, which is moving to another one."""

    connection: Connection
    groups: Groups
    layout: Layout

    async def undone(self) -> dict[str, int]:
        """Return the count of records, by topic, that this journey has not done and the next would not read."""
        found: dict[str, int] = {}
        for group, topics in left_behind(self.layout.journey, self.layout.following().journey).items():
            offsets = await self.groups.offsets(self._old(group))
            for topic in topics:
                positions = {place: offsets[place] for place in offsets if place.topic == topic.name}
                if records := await self._undone(positions):
                    found[topic.name] = records
        return found

    async def _undone(self, positions: Positions) -> int:
        states = {place: Committed(offset, decode(offset, text)) for place, (offset, text) in positions.items()}
        starts = {place: offset for place, (offset, _) in positions.items()}
        async with await Reader.open(self.connection, positions, starts, name=NAME) as reader:
            ends = await reader.high_watermarks()
            records = [record async for record in reader.until(ends)]
        return sum(not states[Partition(record.topic, record.partition)].holds(record.offset) for record in records)

    async def fence(self) -> None:
        """Fence every shard of the layout, so that none can commit any more, and settle their open transactions."""
        groups = dict.fromkeys(group_of(stage, self.layout.version) for stage in DEPLOYED[self.layout.journey])
        some = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            for group in groups:
                for shard in range(self.layout.shards):
                    tasks.create_task(self._fence(transactional_id(group, self.layout.version, shard), some))

    async def _fence(self, identifier: str, some: asyncio.Semaphore) -> None:
        async with some, asyncio.timeout(FENCE_S):
            producer = await fenced(self._publisher, identifier)
            await producer.kill()

    def _publisher(self, identifier: str) -> TransactionalProducer:
        return TransactionalProducer(
            self.connection, identifier, SystemClock(), name=NAME, timeout_ms=TIMEOUT_MS, request_timeout_ms=TIMEOUT_MS
        )

    async def hand_down_memory(self, writer: TransactionalWriter, tell: Callable[[str], None]) -> list[Change]:
        """Move the admission log's entries to the partitions where the next layout reads them."""
        admission_copy = AdmissionCopy(self.connection, self.layout.shards, self.layout.following().shards)
        return await admission_copy.move(writer, tell)

    async def hand_down_offsets(self, admin: Admin, writer: TransactionalWriter) -> AsyncIterator[Change]:
        """Commit each group's offsets and maps for the group that follows it; yield a change for each transaction.

        Raises OffsetMissingError if a group has lost an offset.
        """
        for group in (INGRESS_GROUP, *INNER_GROUPS):
            following = versioned(group, self.layout.version + 1)
            positions = await self._positions(group, admin)
            for part in parts(positions):
                offsets = {place: offset for place, (offset, _) in part.items()}
                maps = {place: text for place, (_, text) in part.items()}
                await writer.transact([], offsets, following, maps)
                yield Change("commit", following, f"offsets of {len(part)} partitions, as {self._old(group)} left them")

    async def _positions(self, group: str, admin: Admin) -> Positions:
        """Return the offset and map at which the group that follows *group* starts in each partition."""
        held = await self.groups.offsets(self._old(group))
        if group in INNER_GROUPS:
            return await self._inner(group, held)
        counts = await admin.partition_counts({place.topic for place in held})
        return {place: at for place, at in held.items() if place.number < counts.get(place.topic, 0)}

    async def _inner(self, group: str, held: Positions) -> Positions:
        """Return the same for an inner group. A group that this layout lacks starts at the end of its topics: no record
        is on its way there.
        """
        following, deployed = self.layout.following(), {group_of(stage) for stage in DEPLOYED[self.layout.journey]}
        wanted = [Partition(topic.name, n) for topic in INNER_GROUPS[group] for n in range(following.shards)]
        if group not in deployed:
            async with await Reader.open(self.connection, (), name=NAME) as reader:
                return {place: (end, "") for place, end in (await reader.high_watermarks(wanted)).items()}
        lost = [place for place in wanted if place.number < self.layout.shards and place not in held]
        if lost:
            raise OffsetMissingError(self._old(group), str(lost[0]))
        return {place: held.get(place, (0, "")) for place in wanted}

    def _old(self, group: str) -> str:
        return versioned(group, self.layout.version)


def parts(positions: Positions) -> Iterator[dict[Partition, tuple[int, str]]]:
    """Split *positions* so that no transaction has too many partitions, or maps that are too long together."""
    part: dict[Partition, tuple[int, str]] = {}
    size = 0
    for place, (offset, text) in positions.items():
        if len(part) == POSITIONS or (part and size + len(text) > METADATA):
            yield part
            part, size = {}, 0
        part[place] = offset, text
        size += len(text)
    if part:
        yield part
