"""Move the admission log's entries to the shards that tenants have under another number of shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ops.topology import Change
from schemas.records import Partition, ProducerRecord, Record
from schemas.topics import ADMISSIONS, shard_of
from streams.transport.connection import Connection
from streams.transport.reader import Reader
from streams.transport.writer import TransactionalWriter

NAME = "headrace-relayout-admissions"
ENTRIES = 1_000
"""Maximum entries moved in one transaction."""
PATIENCE_S = 600.0
"""Seconds allowed to read one partition."""


@dataclass(frozen=True, slots=True)
class AdmissionCopy:
    """The admission log, moving from *shards* to *following* shards."""

    connection: Connection
    shards: int
    following: int

    async def move(self, writer: TransactionalWriter, tell: Callable[[str], None]) -> list[Change]:
        """Write the latest entry of each request to its tenant's new shard, and a tombstone to the old one.

        Both are in one transaction, so a repeated move handles only the remaining entries. Every partition is checked:
        an interrupted move may have had another number of shards as its target.
        """
        if self.shards == self.following:
            return []
        moved = 0
        for number in range(self.following):
            entries = [entry for entry in await self._latest(number) if self._shard(entry) != number]
            for first in range(0, len(entries), ENTRIES):
                some = entries[first : first + ENTRIES]
                await writer.transact([record for entry in some for record in self._moved(entry)])
            moved += len(entries)
            if entries:
                tell(f"{moved} admission events moved")
        return [Change("move", ADMISSIONS.name, f"{moved} entries to other partitions")]

    async def _latest(self, number: int) -> list[Record]:
        """Return the latest record of each key, in log order, without tombstones."""
        latest: dict[bytes, Record] = {}
        async with await Reader.open(self.connection, [Partition(ADMISSIONS.name, number)], name=NAME) as reader:
            async for record in reader.until(await reader.high_watermarks(), PATIENCE_S):
                if record.key is not None:
                    latest.pop(record.key, None)
                    latest[record.key] = record
        return [record for record in latest.values() if record.value is not None]

    def _shard(self, entry: Record) -> int:
        tenant = (entry.key or b"").split(b"|", 1)[0].decode(errors="replace")
        return shard_of(tenant, self.following)

    def _moved(self, entry: Record) -> Iterator[ProducerRecord]:
        yield ProducerRecord(
            ADMISSIONS.name, entry.key, entry.value, tuple(entry.headers), partition=self._shard(entry)
        )
        yield ProducerRecord(ADMISSIONS.name, entry.key, None, (), partition=entry.partition)
