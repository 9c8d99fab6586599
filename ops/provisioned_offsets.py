"""Commit the first offsets of the platform's own topics, once, while these topics are empty."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ops.errors import OffsetMissingError
from ops.topology import Change
from schemas.records import Partition
from schemas.tenants import Layout
from schemas.topics import Topic
from streams.journey import INNER_GROUPS, versioned
from streams.transport.admin import Admin
from streams.transport.connection import Connection
from streams.transport.reader import Reader
from streams.transport.writer import TransactionalWriter

TRANSACTIONAL_ID = "headrace.provision"

Groups: TypeAlias = Mapping[str, tuple[Topic[Any], ...]]
"""The topics that each group reads, by group."""


@dataclass(frozen=True, slots=True)
class FirstOffsets:
    """Partitions without an offset, by group: ``fresh`` are empty, ``lost`` hold records that may have been read."""

    fresh: Mapping[str, tuple[Partition, ...]]
    lost: Mapping[str, tuple[Partition, ...]]

    def changes(self) -> Iterator[Change]:
        """Yield these partitions as changes, to show them to the operator."""
        for group, partitions in self.fresh.items():
            yield Change("commit", group, f"offset 0 of {len(partitions)} empty partitions")
        for group, partitions in self.lost.items():
            places = ", ".join(map(str, partitions))
            yield Change("differs", group, f"has no offset of {places}, which hold records")

    async def commit(self, connection: Connection) -> None:
        """Commit offset 0 for each empty partition. Raises OffsetMissingError if any partition is ``lost``."""
        for group, partitions in self.lost.items():
            raise OffsetMissingError(group, str(partitions[0]))
        if not self.fresh:
            return
        async with await TransactionalWriter.open(connection, TRANSACTIONAL_ID, name=TRANSACTIONAL_ID) as writer:
            for group, partitions in self.fresh.items():
                await writer.transact([], dict.fromkeys(partitions, 0), group)


async def first_offsets(
    connection: Connection, admin: Admin, layout: Layout, absent: frozenset[str], groups: Groups = INNER_GROUPS
) -> FirstOffsets:
    """Return the partitions without an offset under *layout*. The topics in *absent* do not exist yet."""
    missing = {group: partitions async for group, partitions in _missing(admin, layout, groups) if partitions}
    asked = [each for partitions in missing.values() for each in partitions if each.topic not in absent]
    async with await Reader.open(connection, (), name=TRANSACTIONAL_ID) as reader:
        ends = await reader.high_watermarks(asked) if asked else {}
    fresh = {group: tuple(each for each in partitions if not ends.get(each)) for group, partitions in missing.items()}
    lost = {group: tuple(each for each in partitions if ends.get(each)) for group, partitions in missing.items()}
    return FirstOffsets(_some(fresh), _some(lost))


async def _missing(admin: Admin, layout: Layout, groups: Groups) -> AsyncIterator[tuple[str, list[Partition]]]:
    for name, topics in groups.items():
        group = versioned(name, layout.version)
        partitions = [Partition(topic.name, number) for topic in topics for number in range(layout.shards)]
        committed = await admin.committed(group, partitions)
        yield group, [each for each in partitions if each not in committed]


def _some(found: dict[str, tuple[Partition, ...]]) -> dict[str, tuple[Partition, ...]]:
    return {group: partitions for group, partitions in found.items() if partitions}
