"""A consumer without a group. It reads committed records of explicit partitions and keeps its own positions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from typing import Literal, Self, TypeAlias

from schemas.records import Partition, Record
from streams.transport import aiokafka_private, watermarks
from streams.transport.aiokafka_types import Consumer, TopicPartition, Untyped
from streams.transport.connection import Connection
from streams.transport.data_consumer import record_of
from streams.transport.errors import BrokerError, KafkaUnreachableError, translated
from streams.transport.fetch_bounds import FetchBounds

Start: TypeAlias = Literal["earliest", "latest"] | Mapping[Partition, int]
"""The start position. ``latest`` is the high watermark, not the last stable offset: records written from now on."""

_CLOSE_S = 2.0
_POLL_S = 0.5
_NEAR_S = 0.05  # short, because no poll returns the marker at a log's end: the position passes it after an empty poll
_FETCH_BYTES = 4 * 1024 * 1024  # per partition, so that an admission log takes a few large fetches, not eighty small


def _nothing_to_note() -> None:
    """Do nothing before a fetch."""


class Reader:
    """The reader of committed records of a changing set of partitions.

    One task reads; other tasks may ``add`` and ``remove``. aiokafka loses all positions when an assignment changes, so
    the reader keeps its own and seeks back.
    """

    def __init__(self, connection: Connection, *, name: str, deadline_s: float) -> None:
        self._connection, self._deadline_s = connection, deadline_s
        self._bounds = FetchBounds()
        self._next: dict[Partition, int] = {}
        self._lives: dict[Partition, object] = {}
        self._consumer: Untyped = Consumer(
            **connection.options(),
            client_id=name,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=_FETCH_BYTES,
            request_timeout_ms=5_000,
        )
        aiokafka_private.create_nothing(aiokafka_private.client_of(self._consumer))
        aiokafka_private.leave_nothing_open(aiokafka_private.client_of(self._consumer))

    @classmethod
    async def open(
        cls,
        connection: Connection,
        what: str | Iterable[Partition],
        start: Start = "earliest",
        *,
        name: str = "headrace-reader",
        deadline_s: float = 30.0,
    ) -> Reader:
        """Return a reader of all partitions of a topic, or of the given partitions (may be empty: ``add`` some later).

        Raises KafkaUnreachableError or UnknownTopicError after *deadline_s* seconds. The deadline also applies to each
        later request.
        """
        reader = cls(connection, name=name, deadline_s=deadline_s)
        try:
            await connection.establish(reader._consumer.start, deadline_s)
            aiokafka_private.watch_fetches(reader._consumer, _nothing_to_note, reader._bounds.apply)
            chosen = await reader._of(what) if isinstance(what, str) else list(what)
            await reader.add(chosen, start)
        except BaseException:  # also if cancelled: no socket may stay open
            await reader.close()
            raise
        return reader

    async def close(self) -> None:
        """Close the connections."""
        await aiokafka_private.discard_consumer(self._consumer, _CLOSE_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- partitions ---------------------------------------------------------------------------------------------------

    @property
    def partitions(self) -> frozenset[Partition]:
        """The partitions being read."""
        return frozenset(self._next)

    async def add(self, partitions: Collection[Partition], start: Start = "earliest") -> None:
        """Start to read *partitions* from *start* on. Partitions already being read keep their position."""
        new = [partition for partition in partitions if partition not in self._next]
        for partition, offset in (await self._offsets(new, start)).items():
            if partition not in self._next:
                self._next[partition] = offset
                self._lives[partition] = object()
        if new:
            self._assign()

    def remove(self, partitions: Collection[Partition]) -> None:
        """Stop reading *partitions* and forget their positions."""
        gone = [partition for partition in partitions if partition in self._next]
        for partition in gone:
            del self._next[partition], self._lives[partition]
        if gone:
            self._assign()

    async def _of(self, topic: str) -> list[Partition]:
        return [Partition(topic, number) for number in await self.partitions_of(topic)]

    async def _offsets(self, partitions: Collection[Partition], start: Start) -> dict[Partition, int]:
        if start == "earliest":
            return await self.beginnings(partitions)
        if start == "latest":
            return await self.high_watermarks(partitions)
        return {partition: start[partition] for partition in partitions}

    def _assign(self) -> None:
        theirs = {partition: TopicPartition(*partition) for partition in self._next}
        self._consumer.assign(list(theirs.values()))
        for partition, offset in self._next.items():
            self._consumer.seek(theirs[partition], offset)

    # --- reading ------------------------------------------------------------------------------------------------------

    async def poll(self, timeout_s: float = _POLL_S, limit: int | None = None) -> list[Record]:
        """Return at most *limit* committed records, in order within a partition; empty after *timeout_s* seconds.
        Raises OffsetLostError if a position lies outside its log.
        """
        if not self._next:
            await asyncio.sleep(timeout_s)
            return []
        lives = dict(self._lives)
        with translated():
            found = await self._consumer.getmany(timeout_ms=round(timeout_s * 1_000), max_records=limit)
        records = [record for theirs, batch in found.items() for record in self._fresh(theirs, batch, lives)]
        self._skip_markers({Partition(*theirs) for theirs in found})
        return records

    def _fresh(self, theirs: Untyped, batch: list[Untyped], lives: Mapping[Partition, object]) -> list[Record]:
        """Return the records not returned before. The assignment may have changed while the fetch was in flight."""
        partition = Partition(*theirs)
        life = self._lives.get(partition)
        if life is None:
            return []
        if life is not lives.get(partition):  # (re-)added during the fetch: seek and fetch again, so no record is lost
            self._consumer.seek(theirs, self._next[partition])
            return []
        fresh = [record_of(record) for record in batch if record.offset >= self._next[partition]]
        if fresh:
            self._next[partition] = fresh[-1].offset + 1
        return fresh

    def _skip_markers(self, brought: Collection[Partition]) -> None:
        """Pass markers and aborted records at a log's end, which no poll returns, if the poll returned no records."""
        for partition, offset in self._next.items():
            if partition in brought:
                continue
            position = aiokafka_private.position(self._consumer, partition)
            if position is not None and position > offset:
                self._next[partition] = position

    async def __aiter__(self) -> AsyncIterator[Record]:
        while True:
            for record in await self.poll():
                yield record

    def position(self, partition: Partition) -> int:
        """Return the next offset to read."""
        return self._next[partition]

    def past(self, marks: Mapping[Partition, int]) -> bool:
        """Return True if all records below *marks* have been read."""
        return all(self.position(partition) >= mark for partition, mark in marks.items())

    async def until(self, marks: Mapping[Partition, int], deadline_s: float | None = None) -> AsyncIterator[Record]:
        """Yield all records up to *marks*, for example high watermarks, and possibly some later records.

        Waits for transactions that are still open below a mark, however far the last stable offset lies behind.
        Raises KafkaUnreachableError after *deadline_s* seconds; None means the reader's own deadline.
        """
        now = asyncio.get_running_loop().time
        end = now() + (self._deadline_s if deadline_s is None else deadline_s)
        while not self.past(marks):
            if now() > end:
                raise KafkaUnreachableError(self._connection.bootstrap, "records below a mark are not committed")
            for record in await self.poll(_NEAR_S):
                yield record

    # --- offset lookups -----------------------------------------------------------------------------------------------

    async def high_watermarks(self, partitions: Collection[Partition] | None = None) -> dict[Partition, int]:
        """Return the offset after the last record of each partition, open transactions included."""
        return await watermarks.high_watermarks(self._client, self._chosen(partitions), self._deadline_s)

    async def answers(self, deadline_s: float) -> bool:
        """Return True if the leaders of all partitions answer within *deadline_s* seconds."""
        try:
            await watermarks.high_watermarks(self._client, self.partitions, deadline_s)
        except (KafkaUnreachableError, BrokerError):
            return False
        return True

    async def beginnings(self, partitions: Collection[Partition] | None = None) -> dict[Partition, int]:
        """Return the first offset that is still in the log of each partition."""
        return await watermarks.beginnings(self._client, self._chosen(partitions), self._deadline_s)

    async def since(self, at_ms: int, partitions: Collection[Partition] | None = None) -> dict[Partition, int]:
        """Return the offset of each partition's first record with timestamp *at_ms* or later, or the log's end."""
        return await watermarks.since(self._client, self._chosen(partitions), at_ms, self._deadline_s)

    async def partitions_of(self, topic: str) -> list[int]:
        """Return the topic's partition numbers in ascending order."""
        return await watermarks.partitions_of(self._client, topic, self._deadline_s)

    def _chosen(self, partitions: Collection[Partition] | None) -> Collection[Partition]:
        return self.partitions if partitions is None else partitions

    @property
    def _client(self) -> Untyped:
        return aiokafka_private.client_of(self._consumer)
