"""What one layout leaves to the next: its shards are fenced, then offsets, maps and the doors' memory copied."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ops.errors import OffsetMissingError
from ops.memories import Memories
from ops.topology import Change
from schemas.clock import SystemClock
from schemas.records import Partition
from schemas.tenants import Layout
from schemas.topics import Topic
from streams.fencing import fenced
from streams.journey import DEPLOYED, ENTRY_GROUP, INNER_GROUPS, JourneyName, group_of, versioned
from streams.offsetmap import Committed, decode
from streams.parameters import transactional_id
from streams.transport.admin import Admin
from streams.transport.connection import Connection
from streams.transport.groups import Groups
from streams.transport.publisher import Publisher
from streams.transport.reader import Reader
from streams.transport.writer import TransactionalWriter

NAME = "headrace-legacy"
AT_ONCE = 8
"""Shards that are fenced side by side."""
FENCE_S = 30.0
TIMEOUT_MS = 8_000
PLACES = 1_000
METADATA = 256 * 1024
"""Partitions, and characters of maps, in one transaction."""

Places = Mapping[Partition, tuple[int, str]]


def left_behind(journey: JourneyName, following: JourneyName) -> dict[str, tuple[Topic[Any], ...]]:
    """Groups of the one journey that the other does not have, and what they read."""
    gone = {group_of(stage) for stage in DEPLOYED[journey]} - {group_of(stage) for stage in DEPLOYED[following]}
    return {group: topics for group, topics in INNER_GROUPS.items() if group in gone}


@dataclass(frozen=True, slots=True)
class Legacy:
    """Of *layout*, which is on its way to another."""

    connection: Connection
    groups: Groups
    layout: Layout

    async def undone(self) -> dict[str, int]:
        """Records that the next journey would not read and this one has not done, by topic, if there are any."""
        found: dict[str, int] = {}
        for group, topics in left_behind(self.layout.journey, self.layout.following().journey).items():
            offsets = await self.groups.offsets(self._old(group))
            for topic in topics:
                places = {place: offsets[place] for place in offsets if place.topic == topic.name}
                if records := await self._undone(places):
                    found[topic.name] = records
        return found

    async def _undone(self, places: Places) -> int:
        states = {place: Committed(offset, decode(offset, text)) for place, (offset, text) in places.items()}
        starts = {place: offset for place, (offset, _) in places.items()}
        async with await Reader.open(self.connection, places, starts, name=NAME) as reader:
            ends = await reader.high_watermarks()
            records = [record async for record in reader.until(ends)]
        return sum(not states[Partition(record.topic, record.partition)].holds(record.offset) for record in records)

    async def fence(self) -> None:
        """No shard of the layout can commit anything any more, and what was left open is settled."""
        groups = dict.fromkeys(group_of(stage, self.layout.version) for stage in DEPLOYED[self.layout.journey])
        some = asyncio.Semaphore(AT_ONCE)
        async with asyncio.TaskGroup() as tasks:
            for group in groups:
                for shard in range(self.layout.shards):
                    tasks.create_task(self._fence(transactional_id(group, self.layout.version, shard), some))

    async def _fence(self, identifier: str, some: asyncio.Semaphore) -> None:
        async with some, asyncio.timeout(FENCE_S):
            publisher = await fenced(self._publisher, identifier)
            await publisher.kill()

    def _publisher(self, identifier: str) -> Publisher:
        return Publisher(
            self.connection, identifier, SystemClock(), name=NAME, timeout_ms=TIMEOUT_MS, request_timeout_ms=TIMEOUT_MS
        )

    async def hand_down_memory(self, writer: TransactionalWriter, tell: Callable[[str], None]) -> list[Change]:
        """What the doors remember goes to where the next layout looks for it."""
        memories = Memories(self.connection, self.layout.shards, self.layout.following().shards)
        return await memories.move(writer, tell)

    async def hand_down_offsets(self, admin: Admin, writer: TransactionalWriter) -> AsyncIterator[Change]:
        """Commit each group's places for the group that follows it; a change for each transaction.

        Raises OffsetMissingError if a group has lost its place.
        """
        for group in (ENTRY_GROUP, *INNER_GROUPS):
            following = versioned(group, self.layout.version + 1)
            places = await self._places(group, admin)
            for part in parts(places):
                offsets = {place: offset for place, (offset, _) in part.items()}
                maps = {place: text for place, (_, text) in part.items()}
                await writer.transact([], offsets, following, maps)
                yield Change("commit", following, f"offsets of {len(part)} partitions, as {self._old(group)} left them")

    async def _places(self, group: str, admin: Admin) -> Places:
        """Where *group* goes on: where it stands, or where nobody of this layout has read yet."""
        held = await self.groups.offsets(self._old(group))
        if group in INNER_GROUPS:
            return await self._inner(group, held)
        counts = await admin.partition_counts({place.topic for place in held})
        return {place: at for place, at in held.items() if place.number < counts.get(place.topic, 0)}

    async def _inner(self, group: str, held: Places) -> Places:
        """A group that this layout does not have begins where the topic ends: nothing is on its way there."""
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


def parts(places: Places) -> Iterator[dict[Partition, tuple[int, str]]]:
    """No transaction carries too many, or maps that are too long together."""
    part: dict[Partition, tuple[int, str]] = {}
    size = 0
    for place, (offset, text) in places.items():
        if len(part) == PLACES or (part and size + len(text) > METADATA):
            yield part
            part, size = {}, 0
        part[place] = offset, text
        size += len(text)
    if part:
        yield part
