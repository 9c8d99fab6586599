"""Producers outside the stages: for single records, or for transactions under their own transactional id."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Self

from schemas.clock import Clock, SystemClock
from schemas.records import Partition, ProducerRecord
from streams.transport import aiokafka_private, watermarks
from streams.transport.aiokafka_types import KafkaError, Producer, Untyped, errors
from streams.transport.connection import Connection
from streams.transport.errors import FencedError, OutcomeUnknownError, UnknownTopicError, may_pass, own
from streams.transport.protocol.record_batches import partition_for
from streams.transport.transactional_producer import TransactionalProducer

_CLOSE_S = 3.0
_REQUEST_MS = 5_000
_TRANSACTION_S = 10.0
_TRANSACTION_TIMEOUT_MS = 15_000  # the broker's timeout; _TRANSACTION_S must end first
_RECORD_LIMIT = 64 * 1024 * 1024  # bytes; high, so that the topic's limit decides and the broker reports it


class Writer:
    """An idempotent producer of single records. All in-sync replicas confirm each record. Safe for concurrent tasks."""

    def __init__(self, connection: Connection, *, name: str, deadline_s: float, clock: Clock) -> None:
        self._connection, self._name, self._deadline_s, self._clock = connection, name, deadline_s, clock
        self._opening = asyncio.Lock()
        self._producer: Untyped = None

    @classmethod
    async def open(
        cls,
        connection: Connection,
        *,
        name: str = "headrace-writer",
        deadline_s: float = 30.0,
        clock: Clock | None = None,
    ) -> Writer:
        """Return a connected writer. Raises KafkaUnreachableError after *deadline_s* seconds.

        The deadline also applies to each record.
        """
        writer = cls(connection, name=name, deadline_s=deadline_s, clock=clock or SystemClock())
        await writer._ready()
        return writer

    async def close(self) -> None:
        """Wait at most 3 s for the records in flight, then close the connections."""
        if self._producer is not None:
            await self._leave(self._producer)

    async def _leave(self, producer: Untyped) -> None:
        """Drop *producer* after a lost record: a broker refuses later records, as a sequence number is missing."""
        if self._producer is not producer:
            return
        self._producer = None
        try:
            async with asyncio.timeout(_CLOSE_S):
                await producer.stop()
        except (TimeoutError, KafkaError):
            await aiokafka_private.discard_producer(producer, _CLOSE_S)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def send(self, record: ProducerRecord) -> tuple[Partition, int]:
        """Write *record* and return its partition and offset.

        UnknownTopicError, RecordRefusedError and AccessDeniedError are final. OutcomeUnknownError means that the
        deadline has passed, or that the partition had no leader for seconds. The record may or may not be written then,
        now or later.
        """
        producer = await self._ready()
        try:
            async with asyncio.timeout(self._deadline_s):
                place = partition_for(record, await self._count(producer, record.topic))
                metadata = await (await self._sent(producer, record, place))
        except TimeoutError:
            raise OutcomeUnknownError(f"no answer in {self._deadline_s:g} s for a record to {record.topic}") from None
        except KafkaError as error:
            if not (may_pass(error) or isinstance(error, errors.OutOfOrderSequenceNumber)):
                raise own(error) from error
            await self._leave(producer)
            raise OutcomeUnknownError(f"a record to {record.topic} was given up: {error!r}") from error
        return place, metadata.offset

    async def _sent(self, producer: Untyped, record: ProducerRecord, place: Partition) -> asyncio.Future[Untyped]:
        future: asyncio.Future[Untyped] = await producer.send(
            record.topic,
            record.value,
            key=record.key,
            partition=place.number,
            timestamp_ms=self._clock.now_ms() if record.timestamp is None else record.timestamp,
            headers=list(record.headers),
        )
        return future

    async def partitions_of(self, topic: str) -> list[int]:
        """Return the topic's partition numbers in ascending order."""
        return list(range(await self._count(await self._ready(), topic)))

    async def _count(self, producer: Untyped, topic: str) -> int:
        known: set[int] | None = producer.client.cluster.partitions_for_topic(topic)
        return len(known or await watermarks.partitions_of(producer.client, topic, self._deadline_s))

    async def _ready(self) -> Untyped:
        """Return a working producer. Replace one that a fatal error has ended."""
        async with self._opening:
            if self._producer is not None and _dead(self._producer):
                await aiokafka_private.discard_producer(self._producer, _CLOSE_S)
                self._producer = None
            if self._producer is None:
                self._producer = await self._opened()
            return self._producer

    async def _opened(self) -> Untyped:
        producer: Untyped = Producer(
            **self._connection.options(),
            client_id=self._name,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_request_size=_RECORD_LIMIT,
            retry_backoff_ms=20,
            request_timeout_ms=_REQUEST_MS,
        )
        aiokafka_private.create_nothing(producer.client)
        aiokafka_private.leave_nothing_open(producer.client)
        try:
            await self._connection.establish(producer.start, self._deadline_s)
        except BaseException:  # also if cancelled: no socket may stay open
            await aiokafka_private.discard_producer(producer, _CLOSE_S)
            raise
        return producer


class TransactionalWriter:
    """The producer of transactions under one transactional id, with outputs and offsets together.

    One transaction runs at a time; concurrent calls wait. A later writer with the same id fences this one, which then
    raises FencedError.
    """

    def __init__(
        self, connection: Connection, transactional_id: str, *, name: str, deadline_s: float, clock: Clock
    ) -> None:
        self._connection, self._transactional_id = connection, transactional_id
        self._name, self._deadline_s, self._clock = name, deadline_s, clock
        self._one = asyncio.Lock()
        self._publisher: TransactionalProducer | None = None
        self._fenced: FencedError | None = None

    @classmethod
    async def open(
        cls,
        connection: Connection,
        transactional_id: str,
        *,
        name: str = "headrace-writer",
        deadline_s: float = 30.0,
        clock: Clock | None = None,
    ) -> TransactionalWriter:
        """Return a connected writer, and fence the previous owner of *transactional_id*.

        Raises KafkaUnreachableError after *deadline_s* seconds.
        """
        writer = cls(connection, transactional_id, name=name, deadline_s=deadline_s, clock=clock or SystemClock())
        await writer._opened()
        return writer

    async def close(self) -> None:
        """Close the connections."""
        transactional_producer, self._publisher = self._publisher, None
        if transactional_producer is not None:
            await transactional_producer.kill()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def transact(
        self,
        outputs: Collection[ProducerRecord],
        offsets: Mapping[Partition, int] | None = None,
        group: str | None = None,
        maps: Mapping[Partition, str] | None = None,
    ) -> None:
        """Write *outputs* and commit *offsets* for *group* in one transaction. Then the new offsets can be read.

        *maps* has the metadata of the offsets that have any.

        FencedError: nothing was written, and this writer cannot be used again. UnknownTopicError: nothing was written.
        OutcomeUnknownError: all or nothing was written, so read the log before writing again.
        """
        texts = maps or {}
        committed = {place: (offset, texts.get(place, "")) for place, offset in (offsets or {}).items()}
        async with self._one:
            if self._fenced is not None:  # to reopen would fence the other writer, which would fence this one in turn
                raise self._fenced
            transactional_producer = self._publisher or await self._opened()
            try:
                async with asyncio.timeout(_TRANSACTION_S):
                    await transactional_producer.transact(outputs, committed, group)
            except TimeoutError:
                await self.close()
                raise OutcomeUnknownError(f"no answer in {_TRANSACTION_S:g} s") from None
            except FencedError as error:
                self._fenced = error
                await self.close()
                raise
            except UnknownTopicError:
                raise
            except BaseException:  # also if cancelled: the transaction is still open
                await self.close()
                raise
            if committed:
                await self.close()
                await self._opened()  # its fence waits until the offsets are readable; EndTxn responds earlier

    async def _opened(self) -> TransactionalProducer:
        transactional_producer = TransactionalProducer(
            self._connection,
            self._transactional_id,
            self._clock,
            name=self._name,
            timeout_ms=_TRANSACTION_TIMEOUT_MS,
            request_timeout_ms=_REQUEST_MS,
        )
        try:
            await self._connection.establish(transactional_producer.fence, self._deadline_s)
        except BaseException:  # also if cancelled: no socket may stay open
            await transactional_producer.kill()
            raise
        self._publisher = transactional_producer
        return transactional_producer


def _dead(producer: Untyped) -> bool:
    task = aiokafka_private.sender_task(producer)
    return task is None or task.done()
