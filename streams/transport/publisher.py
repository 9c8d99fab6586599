"""A shard's transactional producer: outputs and offsets in one short transaction, thrown away on any doubt."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from schemas.clock import Clock
from schemas.records import Outgoing, Partition
from schemas.topics import partition_of
from streams.transport import internals, unsettled
from streams.transport.connection import Connection
from streams.transport.errors import BrokerError, RecordRefusedError, TransportError, UnknownTopicError, own, translated
from streams.transport.library import KafkaError, Producer, Theirs, TopicPartition, errors

_CLOSE_S = 3.0

Told: TypeAlias = Callable[[int], None]
"""Called with the offset that a record has been given."""


@dataclass(slots=True)
class Batch:
    """Records for one partition, in one piece: a broker takes all of them or none."""

    place: Partition
    builder: Theirs
    records: int = 0
    last: Outgoing | None = None
    """Its last record."""

    told: Told | None = None
    """Wants to know where its only record stands."""

    def add(self, output: Outgoing, now: int) -> bool:
        """Whether there was room for *output*; the first record always finds some."""
        headers, at = list(output.headers), now if output.timestamp is None else output.timestamp
        added = self.builder.append(timestamp=at, key=output.key, value=output.value, headers=headers) is not None
        if added:
            self.records += 1
            self.last = output
        return added


class Publisher:
    """One epoch of one transactional id.

    Never aborted or stopped politely, for both can hang: on any doubt it is killed, and the next one's ``fence``
    settles what was left open.
    """

    def __init__(
        self,
        connection: Connection,
        transactional_id: str,
        clock: Clock,
        *,
        name: str,
        timeout_ms: int,
        request_timeout_ms: int,
        apart: Callable[[str], bool] = lambda _: False,
    ) -> None:
        self._apart = apart
        self.suspect = False
        """A request that ends a transaction was repeated: use no longer, its late copy may end the next one."""
        self._clock, self._timeout_ms = clock, timeout_ms
        self._producer: Theirs = Producer(
            **connection.options(),
            client_id=name,
            transactional_id=transactional_id,
            transaction_timeout_ms=timeout_ms,
            request_timeout_ms=request_timeout_ms,
            acks="all",
            linger_ms=0,
            max_batch_size=262_144,
            retry_backoff_ms=20,
        )

    async def fence(self) -> None:
        """End the epoch of whoever had this id before, and settle its transaction (InitProducerId)."""
        with translated():
            await self._producer.start()
        internals.watch_repeats(self._producer, self._suspect)

    async def fence_other(self, transactional_id: str) -> bool:
        """End the epoch of whoever has another id. False if a transaction of it is still ending: ask again."""
        with translated():
            return await unsettled.fence(self._producer.client, transactional_id, self._timeout_ms)

    async def harmless(self, transactional_id: str) -> bool:
        """Whether what is open under this id can change nothing any more, though a broker cannot write down its end."""
        client = self._producer.client
        if not client.cluster.brokers():  # still connecting: it knows nobody to ask
            return False
        with translated():
            transaction = await unsettled.transaction_of(client, transactional_id)
        return transaction is not None and transaction.harmless

    def _suspect(self) -> None:
        self.suspect = True

    async def transact(
        self,
        outputs: Iterable[Outgoing],
        offsets: Mapping[Partition, tuple[int, str]],
        group: str | None,
        copies: Iterable[tuple[Outgoing, Told]] = (),
    ) -> None:
        """Write *outputs* and *copies*, commit *offsets* (with metadata) for *group*: all of it, or nothing.

        Whoever wants to know where a copy stands is told before the transaction ends, so before anybody can read it.

        UnknownTopicError is raised before anything has been written; after any other error the outcome is unknown.
        RecordRefusedError says which topic refused what. The records of topics that stand ``apart`` have a batch each.
        """
        batches = [*await self._encoded(outputs), *[await self._alone(output, told) for output, told in copies]]
        with translated():
            await self._producer.begin_transaction()  # no context manager: leaving it would abort
            await self._send(batches)
            if offsets:
                # Only now: overlapped with the sends, 7 % of transactions met NotEnoughReplicas and a back-off.
                theirs = {TopicPartition(*partition): committed for partition, committed in offsets.items()}
                await self._producer.send_offsets_to_transaction(theirs, group)
            await self._producer.commit_transaction()

    async def _send(self, batches: list[Batch]) -> None:
        sent: dict[asyncio.Future[Theirs], Batch] = {}
        for batch in batches:
            future = await self._producer.send_batch(batch.builder, batch.place.topic, partition=batch.place.number)
            future.add_done_callback(_seen)
            sent[future] = batch
        if sent:
            done, _ = await asyncio.wait(sent, return_when=asyncio.FIRST_EXCEPTION)
            failures = [_refusal(error, sent[future]) for future in done if (error := future.exception())]
            if failures:  # what follows a refused batch fails too, and says less
                raise min(failures, key=lambda failure: not isinstance(failure, RecordRefusedError))
            for future, batch in sent.items():
                if batch.told is not None:
                    batch.told(_offset(future))

    async def _encoded(self, outputs: Iterable[Outgoing]) -> list[Batch]:
        """Whole batches instead of a ``send`` per record: a quarter of the CPU. Those of a partition stay in order."""
        batches: list[Batch] = []
        current: dict[Partition, Batch] = {}
        counts: dict[str, int] = {}
        now = self._clock.now_ms()
        for output in outputs:
            count = counts.get(output.topic) or counts.setdefault(output.topic, await self._count(output.topic))
            place = place_of(output, count)
            batch = current.get(place)
            if batch is None or self._apart(place.topic) or not batch.add(output, now):
                batch = current[place] = Batch(place, self._producer.create_batch())
                batch.add(output, now)
                batches.append(batch)
        return batches

    async def _alone(self, output: Outgoing, told: Told) -> Batch:
        batch = Batch(place_of(output, await self._count(output.topic)), self._producer.create_batch(), told=told)
        batch.add(output, self._clock.now_ms())
        return batch

    async def _count(self, topic: str) -> int:
        try:
            return len(await self._producer.partitions_for(topic))
        except errors.UnknownTopicOrPartitionError:
            raise UnknownTopicError(topic) from None
        except KafkaError as error:
            raise own(error) from error

    async def kill(self) -> None:
        """Let go of it, whatever state it is in. What is open is settled by the next ``fence``, or times out."""
        await internals.discard_producer(self._producer, _CLOSE_S)


def place_of(output: Outgoing, count: int) -> Partition:
    """Where *output* goes, in a topic of *count* partitions. UnknownTopicError if there is no such partition."""
    number = output.partition
    if number is None:
        key = output.key if output.key is not None else output.value or b""
        number = partition_of(key, count)
    elif not 0 <= number < count:
        raise UnknownTopicError(f"{output.topic}:{number}")
    return Partition(output.topic, number)


def _offset(sent: asyncio.Future[Theirs]) -> int:
    """Where a batch stands. A broker that knows a repeated batch only as repeated cannot say: then it is a doubt."""
    offset: int = sent.result().offset
    if offset < 0:
        raise BrokerError("the broker did not say where a record stands")
    return offset


def _refusal(error: BaseException, batch: Batch) -> BaseException:
    """What a failed batch says: whose fault it was, if it was the batch's.

    aiokafka does not know every code with which a broker refuses a record, INVALID_RECORD among them: unknown ones are
    the batch's fault too.
    """
    if isinstance(error, errors.TopicAuthorizationFailedError):
        return RecordRefusedError(repr(error), topic=_forbidden(error) or batch.place.topic)
    ours: TransportError | BaseException = own(error) if isinstance(error, Exception) else error
    if not isinstance(ours, RecordRefusedError) and not isinstance(error, errors.UnknownError):
        return error
    refused = RecordRefusedError(str(ours), topic=batch.place.topic, records=batch.records)
    if batch.records == 1 and batch.last is not None:
        refused.size = batch.last.size
        refused.record = None if isinstance(ours, RecordRefusedError) else batch.last
    return refused


def _forbidden(error: Theirs) -> str | None:
    """The topic that an access list forbids: aiokafka names one, or a set of them."""
    named = error.args[0] if error.args else None
    return named if isinstance(named, str) else next(iter(named), None) if isinstance(named, (set, frozenset)) else None


def _seen(future: asyncio.Future[Theirs]) -> None:
    """One failure is raised; the others of its transaction say the same."""
    if not future.cancelled():
        future.exception()
