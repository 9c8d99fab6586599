"""The data consumer of a worker: no group, explicit partitions, so that no rebalance ever touches it."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping

import structlog

from schemas.clock import Clock
from schemas.records import Partition, Record
from streams.transport import internals, watermarks
from streams.transport.connection import Connection
from streams.transport.errors import OffsetLostError, own
from streams.transport.library import Consumer, Theirs, TopicPartition
from streams.transport.standings import Standing, standings

_CLOSE_S = 2.0
_PARTITIONS_A_TURN = 64
_LEAST_SHARE = 8
_TURN = 512
_WAIT_MS = 100
_PAUSE_S = 0.2
_ASK_S = 2.0

log = structlog.get_logger()


def record_of(theirs: Theirs) -> Record:
    """A record of ours from one of aiokafka's."""
    return Record(
        theirs.topic, theirs.partition, theirs.offset, theirs.timestamp, theirs.key, theirs.value, theirs.headers
    )


class Fetcher:
    """Fetches for all shards of a worker. Never pauses (aiokafka throws away what it has), never cancels a fetch."""

    def __init__(
        self, connection: Connection, clock: Clock, *, name: str, fetch_wait_ms: int, request_timeout_ms: int
    ) -> None:
        self._connection, self._clock = connection, clock
        self._unanswered: float | None = None
        self._turn = 0
        self._theirs: dict[Partition, Theirs] = {}
        self._consumer: Theirs = Consumer(
            **connection.options(),
            client_id=name,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            fetch_max_wait_ms=fetch_wait_ms,
            request_timeout_ms=request_timeout_ms,
        )

    async def start(self, deadline_s: float) -> None:
        """Connect. KafkaUnreachableError after *deadline_s*."""
        await self._connection.establish(self._consumer.start, deadline_s)
        internals.watch_fetches(self._consumer, self._asked, self._answered)

    def _asked(self) -> None:
        if self._unanswered is None:
            self._unanswered = self._clock.monotonic()

    def _answered(self) -> None:
        self._unanswered = None

    def silent_s(self) -> float:
        """Seconds since a fetch was sent that nobody has answered, nor any after it; 0 if there is none."""
        return 0.0 if self._unanswered is None else self._clock.monotonic() - self._unanswered

    async def close(self) -> None:
        """Close the connections."""
        await internals.discard_consumer(self._consumer, _CLOSE_S)

    @property
    def broken(self) -> bool:
        """Whether the task that fetches has died."""
        return internals.fetch_task(self._consumer).done()

    def assign(self, partitions: Collection[Partition]) -> None:
        """Fetch these and no others. Every position is forgotten: seek them all before the next ``take``."""
        self._theirs = {partition: TopicPartition(*partition) for partition in partitions}
        self._consumer.assign(list(self._theirs.values()))
        self._unanswered = None

    def seek(self, partition: Partition, offset: int) -> None:
        """Take *partition* from *offset* on; what was fetched ahead is thrown away."""
        self._consumer.seek(self._theirs[partition], offset)

    def position(self, partition: Partition) -> int | None:
        """The next offset to be fetched: beyond transaction markers and aborted records too. None if not known."""
        return internals.position(self._consumer, partition)

    async def beginnings(self, partitions: Collection[Partition], deadline_s: float) -> dict[Partition, int]:
        """The first offset that is still in the log of each."""
        client = internals.client_of(self._consumer)
        return await watermarks.beginnings(client, partitions, deadline_s)

    async def ends(self, partitions: Collection[Partition], deadline_s: float) -> dict[Partition, int]:
        """How far each can be read, read committed."""
        client = internals.client_of(self._consumer)
        return await watermarks.stable_ends(client, partitions, deadline_s)

    async def standings(self, topics: Collection[str]) -> dict[str, Standing]:
        """How each of *topics* stands now, without what nobody could say."""
        return await standings(internals.client_of(self._consumer), topics, _ASK_S)

    async def take(self, room: Mapping[Partition, int], free: int, size: int) -> dict[Partition, list[Record]]:
        """At most *free* records, at most ``room[p]`` and an equal share of each; no partition more once they have
        *size* bytes.

        aiokafka's own limit would drain one partition before the next. Waits up to 0.1 s if nothing is buffered.
        OffsetLostError if a position lies outside its log; other errors are logged, and what was taken is returned.
        """
        fetched: dict[Partition, list[Record]] = {}
        try:
            await self._take_buffered(room, free, size, fetched)
            if not fetched:
                await self._wait(room, free, fetched)
        except Exception as error:  # a record that cannot be decoded raises what it likes; keep the rest
            ours = own(error)
            if isinstance(ours, OffsetLostError):
                raise ours from error
            log.warning("fetch_failed", error=str(ours))
            await asyncio.sleep(_PAUSE_S)
        return fetched

    async def _take_buffered(
        self, room: Mapping[Partition, int], free: int, size: int, fetched: dict[Partition, list[Record]]
    ) -> None:
        waiting = [partition for partition in internals.buffered(self._consumer) if partition in room]
        each = max(_LEAST_SHARE, _TURN // max(1, len(waiting)))
        for partition in self._rotated(waiting):
            limit = min(free, each, room[partition])
            if limit <= 0 or size <= 0:
                return
            await self._get([self._theirs[partition]], 0, limit, fetched)
            records = fetched.get(partition, ())
            free -= len(records)
            size -= sum(len(record.value or b"") for record in records)

    def _rotated(self, partitions: list[Partition]) -> Iterable[Partition]:
        self._turn += 1
        turn = self._turn % len(partitions) if partitions else 0
        return (partitions[turn:] + partitions[:turn])[:_PARTITIONS_A_TURN]

    async def _wait(self, room: Mapping[Partition, int], free: int, fetched: dict[Partition, list[Record]]) -> None:
        wanted = [self._theirs[partition] for partition in room] if len(room) < len(self._theirs) else []
        await self._get(wanted, _WAIT_MS, max(1, min(_LEAST_SHARE, free, *room.values())), fetched)

    async def _get(
        self, theirs: list[Theirs], wait_ms: int, limit: int, fetched: dict[Partition, list[Record]]
    ) -> None:
        found = await self._consumer.getmany(*theirs, timeout_ms=wait_ms, max_records=limit)
        for place, records in found.items():
            fetched[Partition(*place)] = [record_of(record) for record in records]
