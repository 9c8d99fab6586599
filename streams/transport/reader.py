"""A reader without a group: explicit partitions, committed records only, positions of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from typing import Literal, Self, TypeAlias

from schemas.records import Partition, Record
from streams.transport import internals, watermarks
from streams.transport.connection import Connection
from streams.transport.errors import KafkaUnreachableError, translated
from streams.transport.fetcher import record_of
from streams.transport.library import Consumer, Theirs, TopicPartition

Start: TypeAlias = Literal["earliest", "latest"] | Mapping[Partition, int]
"""Where to begin. ``latest`` is the high watermark: everything written from now on, open transactions included."""

_CLOSE_S = 2.0
_POLL_S = 0.5
_NEAR_S = 0.05  # near an end: a log ends in a marker, which no poll returns, and which is passed when one has waited
_FETCH_BYTES = 4 * 1024 * 1024  # of a partition: a door is read in a few long strides, not in eighty short ones


class Reader:
    """Reads committed records of a growing set of partitions. One task reads; others may ``add`` and ``remove``.

    aiokafka forgets every position when an assignment changes, so the reader keeps its own and seeks back.
    """

    def __init__(self, connection: Connection, *, name: str, deadline_s: float) -> None:
        self._connection, self._deadline_s = connection, deadline_s
        self._next: dict[Partition, int] = {}
        self._lives: dict[Partition, object] = {}
        self._consumer: Theirs = Consumer(
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
        internals.create_nothing(internals.client_of(self._consumer))
        internals.leave_nothing_open(internals.client_of(self._consumer))

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
        """A reader of a topic's partitions, or of those given (none is fine: ``add`` them later).

        KafkaUnreachableError or UnknownTopicError after *deadline_s*, which counts for each later request too.
        """
        reader = cls(connection, name=name, deadline_s=deadline_s)
        try:
            await connection.establish(reader._consumer.start, deadline_s)
            chosen = await reader._of(what) if isinstance(what, str) else list(what)
            await reader.add(chosen, start)
        except BaseException:  # cancelled too: no socket stays open
            await reader.close()
            raise
        return reader

    async def close(self) -> None:
        """Close the connections."""
        await internals.discard_consumer(self._consumer, _CLOSE_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    # --- what is read -------------------------------------------------------------------------------------------------

    @property
    def partitions(self) -> frozenset[Partition]:
        """What is being read."""
        return frozenset(self._next)

    async def add(self, partitions: Collection[Partition], start: Start = "earliest") -> None:
        """Read *partitions* too, from *start* on; those already read go on where they are."""
        new = [partition for partition in partitions if partition not in self._next]
        for partition, offset in (await self._offsets(new, start)).items():
            if partition not in self._next:
                self._next[partition] = offset
                self._lives[partition] = object()
        if new:
            self._assign()

    def remove(self, partitions: Collection[Partition]) -> None:
        """Read *partitions* no longer, and forget how far."""
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
        """What has been committed, *limit* records at most; empty after *timeout_s*. In order within a partition.

        OffsetLostError if a position lies outside its log.
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

    def _fresh(self, theirs: Theirs, batch: list[Theirs], lives: Mapping[Partition, object]) -> list[Record]:
        """What has not been returned before: the assignment may have changed while the fetch was on its way."""
        partition = Partition(*theirs)
        life = self._lives.get(partition)
        if life is None:
            return []
        if life is not lives.get(partition):  # fetched while this life began, and not to be passed over: once more
            self._consumer.seek(theirs, self._next[partition])
            return []
        fresh = [record_of(record) for record in batch if record.offset >= self._next[partition]]
        if fresh:
            self._next[partition] = fresh[-1].offset + 1
        return fresh

    def _skip_markers(self, brought: Collection[Partition]) -> None:
        """Markers and aborted records at the end are never returned; they count as read where the poll brought none."""
        for partition, offset in self._next.items():
            if partition in brought:
                continue
            position = internals.position(self._consumer, partition)
            if position is not None and position > offset:
                self._next[partition] = position

    async def __aiter__(self) -> AsyncIterator[Record]:
        while True:
            for record in await self.poll():
                yield record

    def position(self, partition: Partition) -> int:
        """The next offset to be read."""
        return self._next[partition]

    def past(self, marks: Mapping[Partition, int]) -> bool:
        """Whether everything below *marks* has been read."""
        return all(self.position(partition) >= mark for partition, mark in marks.items())

    async def until(self, marks: Mapping[Partition, int], deadline_s: float | None = None) -> AsyncIterator[Record]:
        """Everything up to *marks* (high watermarks, say), and perhaps some records more.

        Waits for transactions that are still open below a mark, however far the last stable offset lies behind.
        KafkaUnreachableError after *deadline_s* (the reader's, if None).
        """
        now = asyncio.get_running_loop().time
        end = now() + (self._deadline_s if deadline_s is None else deadline_s)
        while not self.past(marks):
            if now() > end:
                raise KafkaUnreachableError(self._connection.bootstrap, "records below a mark are not committed")
            for record in await self.poll(_NEAR_S):
                yield record

    # --- asking -------------------------------------------------------------------------------------------------------

    async def high_watermarks(self, partitions: Collection[Partition] | None = None) -> dict[Partition, int]:
        """The offset after the last record of each, open transactions included."""
        return await watermarks.high_watermarks(self._client, self._chosen(partitions), self._deadline_s)

    async def beginnings(self, partitions: Collection[Partition] | None = None) -> dict[Partition, int]:
        """The first offset that is still in the log of each."""
        return await watermarks.beginnings(self._client, self._chosen(partitions), self._deadline_s)

    async def since(self, at_ms: int, partitions: Collection[Partition] | None = None) -> dict[Partition, int]:
        """The first record of each that is stamped *at_ms* or later; the end, if there is none."""
        return await watermarks.since(self._client, self._chosen(partitions), at_ms, self._deadline_s)

    async def partitions_of(self, topic: str) -> list[int]:
        """The topic's partition numbers, in order."""
        return await watermarks.partitions_of(self._client, topic, self._deadline_s)

    def _chosen(self, partitions: Collection[Partition] | None) -> Collection[Partition]:
        return self.partitions if partitions is None else partitions

    @property
    def _client(self) -> Theirs:
        return internals.client_of(self._consumer)
