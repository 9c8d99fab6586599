"""The data consumer of a worker. It has no group and explicit partitions, so a rebalance never affects it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from schemas.clock import Clock
from schemas.records import COMPLETE, Partition, Record
from schemas.topics import PLATFORM
from streams.transport import aiokafka_private, watermarks
from streams.transport.aiokafka_types import Consumer, TopicPartition, Untyped, errors
from streams.transport.connection import Connection
from streams.transport.errors import BrokerError, TransportError, UnknownTopicError, UnreadableError, own
from streams.transport.fetch_bounds import FetchBounds
from streams.transport.fetched_batches import readable
from streams.transport.lazy_log import LazyLog
from streams.transport.missing_topics import missing_topics
from streams.transport.topic_state import TopicState, topic_states

_CLOSE_S = 2.0
_PARTITIONS_A_TURN = 64
_LEAST_SHARE = 8
_TURN = 512
_WAIT_S = 0.1
_ASK_S = 2.0
_CAREFUL = 100
"""Consecutive clean fetches after which a partition's batches are no longer checked. A check costs 4 µs a record. A
repeated fetch costs more."""
_OURS = frozenset(topic.name for topic in PLATFORM)
_CODE = 1  # the index of the error code in a partition's row of a fetch response

_UNKNOWN = errors.UnknownTopicOrPartitionError
_RAISED = frozenset({errors.OffsetOutOfRangeError, errors.TopicAuthorizationFailedError})
"""Errors that aiokafka raises in ``getmany``."""

_PASSING = frozenset(
    {
        errors.NotLeaderForPartitionError,
        errors.LeaderNotAvailableError,
        errors.ReplicaNotAvailableError,
    }
)
"""Errors while a leader moves."""

log = LazyLog()


def record_of(theirs: Untyped) -> Record:
    """Return the ``Record`` for an aiokafka ConsumerRecord."""
    return Record(
        theirs.topic, theirs.partition, theirs.offset, theirs.timestamp, theirs.key, theirs.value, theirs.headers
    )


_new: Callable[[type[Record], tuple[object, ...]], Record] = tuple.__new__
"""The tuple constructor. It skips NamedTuple's Python-level ``__new__``, because it is called for every record."""


def _ours(records: list[Untyped]) -> list[Record]:
    """Return the records of one fetch as ``Record``. A fetch that arrives after ``make_records`` needs conversion."""
    return records if type(records[0]) is Record else [*map(record_of, records)]


def _is_run(records: list[Record], start: int | None) -> bool:
    """Return True if the offsets are consecutive from *start*."""
    return all(record.offset == offset for offset, record in enumerate(records, start or 0))


class DataConsumer:
    """The data consumer for all shards of a worker.

    It never pauses a partition, because aiokafka then discards its prefetched records. It never cancels a fetch.
    """

    def __init__(
        self, connection: Connection, clock: Clock, *, name: str, fetch_wait_ms: int, request_timeout_ms: int
    ) -> None:
        self._connection, self._clock = connection, clock
        self.faults: dict[Partition, TransportError] = {}
        """The error of each failed partition since its last seek. The caller removes the error and assigns again
        without the partition. Until then the client fetches the partition without pause."""

        self._bounds = FetchBounds()
        self._careful: dict[Partition, int] = {}
        """Partitions whose batches are checked before the client decodes them, with the number of fetches left."""
        self._unanswered: float | None = None
        self._turn = 0
        self._theirs: dict[Partition, Untyped] = {}
        self._consumer: Untyped = Consumer(
            **connection.options(),
            client_id=name,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="none",
            isolation_level="read_committed",
            fetch_max_wait_ms=fetch_wait_ms,
            request_timeout_ms=request_timeout_ms,
        )
        aiokafka_private.create_nothing(aiokafka_private.client_of(self._consumer))
        aiokafka_private.leave_nothing_open(aiokafka_private.client_of(self._consumer))

    async def start(self, deadline_s: float) -> None:
        """Connect. Raises KafkaUnreachableError after *deadline_s* seconds."""
        await self._connection.establish(self._consumer.start, deadline_s)
        aiokafka_private.watch_fetches(self._consumer, self._asked, self._answered)

    def _asked(self) -> None:
        if self._unanswered is None:
            self._unanswered = self._clock.monotonic()

    async def _answered(self, request: Untyped, answer: Untyped) -> None:
        self._unanswered = None
        for partition, fault in (await self._bounds.apply(request, answer)).items():
            self.faults[partition] = UnreadableError(
                f"the batch at offset {fault.offset} of {partition}: {fault.reason}"
            )
        for topic, rows in answer.topics:
            for index, row in enumerate(rows):
                if row[_CODE]:
                    self._refused(Partition(topic, row[0]), errors.for_code(row[_CODE]))
                elif self._careful and (topic, row[0]) in self._careful:
                    rows[index] = (*row[:-1], self._eased(Partition(topic, row[0]), row[-1]))

    def _refused(self, partition: Partition, kind: type[Exception]) -> None:
        """Record the fault of a partition that a broker does not serve, because the client would retry without pause.

        A moved leader is no fault: the client finds the new one. Errors that ``getmany`` raises are recorded there.
        """
        if kind not in _RAISED and kind not in _PASSING:
            self.faults[partition] = UnknownTopicError(partition.topic) if kind is _UNKNOWN else own(kind(partition))

    def _eased(self, partition: Partition, data: bytes) -> bytes:
        """Return the fetched data with its batches repaired, up to the first one that cannot be repaired."""
        found = readable(data or b"")
        self._careful[partition] = _CAREFUL if found.changed else self._careful[partition] - 1
        if not self._careful[partition]:
            del self._careful[partition]
        if found.fault is not None and not found.data:
            offset, reason = found.fault
            self.faults[partition] = UnreadableError(f"the batch at offset {offset} of {partition}: {reason}")
        return found.data

    def silent_s(self) -> float:
        """Return the seconds since the oldest fetch sent after the last response; 0 if there is none."""
        return 0.0 if self._unanswered is None else self._clock.monotonic() - self._unanswered

    async def close(self) -> None:
        """Close the connections."""
        await aiokafka_private.discard_consumer(self._consumer, _CLOSE_S)

    @property
    def broken(self) -> bool:
        """True if the fetch task has ended."""
        return aiokafka_private.fetch_task(self._consumer).done()

    def assign(self, partitions: Collection[Partition]) -> None:
        """Fetch exactly *partitions*. All positions are lost: seek every partition before the next ``take``."""
        self._theirs = {partition: TopicPartition(*partition) for partition in partitions}
        self._consumer.assign(list(self._theirs.values()))
        self.faults.clear()
        self._careful = {partition: left for partition, left in self._careful.items() if partition in self._theirs}
        self._unanswered = None

    def seek(self, partition: Partition, offset: int) -> None:
        """Read *partition* from *offset* on. Its prefetched records are discarded."""
        self._consumer.seek(self._theirs[partition], offset)
        self.faults.pop(partition, None)

    def position(self, partition: Partition) -> int | None:
        """Return the next offset to fetch, or None if unknown. It passes transaction markers and aborted records."""
        return aiokafka_private.position(self._consumer, partition)

    def leaderless(self) -> set[Partition]:
        """Return the assigned partitions without a known leader. The client asks for their metadata without pause."""
        cluster = aiokafka_private.client_of(self._consumer).cluster
        leaders = ((partition, cluster.leader_for_partition(theirs)) for partition, theirs in self._theirs.items())
        return {partition for partition, leader in leaders if leader is None or leader < 0}

    async def missing_topics(self, topics: Collection[str]) -> dict[Partition | str, TransportError]:
        """Return the error of each topic that cannot be read; if only a leader is missing, the key is the partition."""
        return await missing_topics(aiokafka_private.client_of(self._consumer), topics, _ASK_S)

    async def beginnings(self, partitions: Collection[Partition], deadline_s: float) -> dict[Partition, int]:
        """Return each partition's first offset. Leave out those whose leader is silent for *deadline_s* seconds."""
        client = aiokafka_private.client_of(self._consumer)
        return await watermarks.known_beginnings(client, partitions, deadline_s)

    async def ends(self, partitions: Collection[Partition], deadline_s: float) -> dict[Partition, int]:
        """Return the last stable offset of each partition, the end for read-committed readers."""
        client = aiokafka_private.client_of(self._consumer)
        return await watermarks.stable_ends(client, partitions, deadline_s)

    async def high_watermarks(self, partitions: Collection[Partition], deadline_s: float) -> dict[Partition, int]:
        """Return the end of each partition's log, records of open transactions included."""
        client = aiokafka_private.client_of(self._consumer)
        return await watermarks.high_watermarks(client, partitions, deadline_s)

    async def topic_states(self, topics: Collection[str]) -> dict[str, TopicState]:
        """Return the current state of each of *topics*. Leave out those whose state no broker could tell."""
        return await topic_states(aiokafka_private.client_of(self._consumer), topics, _ASK_S)

    async def take(self, room: Mapping[Partition, int], free: int, size: int) -> dict[Partition, list[Record]]:
        """Return at most *free* records, from each partition an equal share and at most ``room[p]``.

        No further partition is read once the records have *size* bytes. aiokafka's own limit would drain one partition
        before the next. Waits up to 0.1 s if nothing is buffered. A partition's error goes to ``faults`` and does not
        delay the others.
        """
        fetched = await self._take_buffered(room, free, size)
        if not fetched:
            await aiokafka_private.arrival(self._consumer, _WAIT_S)
            fetched = await self._take_buffered(room, free, size)
        return fetched

    async def _take_buffered(
        self, room: Mapping[Partition, int], free: int, size: int
    ) -> dict[Partition, list[Record]]:
        fetched: dict[Partition, list[Record]] = {}
        waiting = [partition for partition in aiokafka_private.buffered(self._consumer) if partition in room]
        each = max(_LEAST_SHARE, _TURN // max(1, len(waiting)))
        for partition in self._rotated(waiting):
            limit = min(free, each, room[partition])
            if limit <= 0 or size <= 0:
                break
            if records := await self._get(partition, limit):
                fetched[Partition(*partition)] = records
                free -= len(records)
                size -= sum([len(record.value or b"") + len(record.key or b"") for record in records])
        return fetched

    def _rotated(self, partitions: list[Partition]) -> Iterable[Partition]:
        self._turn += 1
        turn = self._turn % len(partitions) if partitions else 0
        return (partitions[turn:] + partitions[:turn])[:_PARTITIONS_A_TURN]

    async def _get(self, partition: Partition, limit: int) -> list[Record]:
        position = aiokafka_private.position(self._consumer, partition)
        aiokafka_private.make_records(self._consumer, partition, self._made)
        try:
            found = await self._consumer.getmany(self._theirs[partition], timeout_ms=0, max_records=limit)
        except Exception as error:  # noqa: BLE001 - a record that cannot be decoded raises what it likes
            self._stumbled(Partition(*partition), error)
            return []
        records = [record for records in found.values() for record in _ours(records)]
        if self._doubts(partition) and not _is_run(records, position):
            self._consumer.seek(self._theirs[partition], position)
            self._look_closer(Partition(*partition), "offsets are missing")
            return []
        return records

    def _made(self, place: Untyped, found: Untyped) -> Record:
        """Return the ``Record`` for a decoded record of a batch."""
        missing = self._bounds.missing.get(place)
        return _new(
            Record,
            (
                place.topic,
                place.partition,
                found.offset,
                found.timestamp,
                found.key,
                found.value,
                tuple(found.headers),
                COMPLETE if missing is None else missing.get(found.offset, COMPLETE),
            ),
        )

    def _doubts(self, partition: Partition) -> bool:
        """Return True if a producer's wrong deltas may hide offsets. Platform topics and checked ones are exempt."""
        return partition not in self._careful and partition.topic not in _OURS

    def _look_closer(self, partition: Partition, reason: str) -> None:
        """Check the next batches of *partition* before the client decodes them."""
        self._careful[partition] = _CAREFUL
        log.debug("batch_inspected", partition=str(partition), reason=reason)

    def _stumbled(self, partition: Partition, error: Exception) -> None:
        """Handle an error of ``getmany``. A decoding error is retried with checked batches; no record is skipped."""
        ours = own(error)
        if isinstance(ours, BrokerError) and partition not in self._careful:
            self._look_closer(partition, repr(error))
        else:
            self.faults[partition] = UnreadableError(repr(error)) if isinstance(ours, BrokerError) else ours
