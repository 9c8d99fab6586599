"""A shard's transactional producer: outputs and offsets in one short transaction, thrown away on any doubt."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from schemas.clock import Clock
from schemas.records import Outgoing, Partition
from schemas.topics import partition_of
from streams.transport import internals
from streams.transport.connection import Connection
from streams.transport.errors import UnknownTopicError, own, translated
from streams.transport.library import KafkaError, Producer, Theirs, TopicPartition, errors

_CLOSE_S = 3.0


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
    ) -> None:
        self.suspect = False
        """A request that ends a transaction was repeated: use no longer, its late copy may end the next one."""
        self._clock = clock
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

    def _suspect(self) -> None:
        self.suspect = True

    async def transact(
        self, outputs: Iterable[Outgoing], offsets: Mapping[Partition, tuple[int, str]], group: str | None
    ) -> None:
        """Write *outputs* and commit *offsets* (with metadata) for *group*: all of it, or nothing.

        UnknownTopicError is raised before anything has been written; after any other error the outcome is unknown.
        """
        batches = await self._encoded(outputs)
        with translated():
            await self._producer.begin_transaction()  # no context manager: leaving it would abort
            await self._send(batches)
            if offsets:
                # Only now: overlapped with the sends, 7 % of transactions met NotEnoughReplicas and a back-off.
                theirs = {TopicPartition(*partition): committed for partition, committed in offsets.items()}
                await self._producer.send_offsets_to_transaction(theirs, group)
            await self._producer.commit_transaction()

    async def _send(self, batches: list[tuple[Partition, Theirs]]) -> None:
        sent: list[asyncio.Future[object]] = [
            await self._producer.send_batch(builder, place.topic, partition=place.number) for place, builder in batches
        ]
        for future in sent:
            future.add_done_callback(_seen)
        for future in sent:
            await future

    async def _encoded(self, outputs: Iterable[Outgoing]) -> list[tuple[Partition, Theirs]]:
        """Whole batches instead of a ``send`` per record: a quarter of the CPU. Those of a partition stay in order."""
        batches: list[tuple[Partition, Theirs]] = []
        current: dict[Partition, Theirs] = {}
        counts: dict[str, int] = {}
        now = self._clock.now_ms()
        for output in outputs:
            count = counts.get(output.topic) or counts.setdefault(output.topic, await self._count(output.topic))
            place = place_of(output, count)
            headers = list(output.headers)
            builder = current.get(place)
            if builder is None or not _fits(builder, now, output, headers):
                builder = current[place] = self._producer.create_batch()
                _fits(builder, now, output, headers)  # the first record of a batch always does
                batches.append((place, builder))
        return batches

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


def _fits(builder: Theirs, now: int, output: Outgoing, headers: list[tuple[str, bytes | None]]) -> bool:
    return builder.append(timestamp=now, key=output.key, value=output.value, headers=headers) is not None


def _seen(future: asyncio.Future[object]) -> None:
    """One failure is raised; the others of its transaction say the same."""
    if not future.cancelled():
        future.exception()
