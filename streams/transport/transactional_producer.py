"""The transactional producer of a shard. It writes outputs and offsets in one short transaction.

aiokafka connects, authenticates and knows the partition leaders. The transaction requests are Headrace's own:
aiokafka's producer speaks only version 1 of the protocol, one request after another. It spends 1 to 2 ms of CPU on
each request of any size.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from schemas.clock import Clock
from schemas.records import Partition, ProducerRecord
from streams.transport import aiokafka_private
from streams.transport.aiokafka_types import Client
from streams.transport.brokers import Brokers, of_transactions
from streams.transport.connection import Connection
from streams.transport.errors import BrokerError, translated
from streams.transport.protocol import requests
from streams.transport.protocol.describe_transactions import describe_transaction
from streams.transport.protocol.error_codes import fault
from streams.transport.protocol.record_batches import OffsetCallback, RecordBatch, packed, partition_for
from streams.transport.transactions import Transactions


class TransactionalProducer:
    """The producer of one transactional id, from its fence to its first error.

    It has no abort and no graceful stop, because both can hang. On any error the caller kills it. The ``fence`` of the
    next producer ends a transaction left open.
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
        self._clock, self._apart = clock, apart
        self._timeout_ms, self._patience_s = timeout_ms, request_timeout_ms / 1_000
        options = connection.options()
        client = Client(**options, client_id=name, request_timeout_ms=request_timeout_ms, retry_backoff_ms=20)
        aiokafka_private.create_nothing(client)
        aiokafka_private.leave_nothing_open(client)
        self._brokers = Brokers(client)
        self._transactions = Transactions(
            self._brokers, transactional_id, clock, timeout_ms=timeout_ms, request_timeout_ms=request_timeout_ms
        )
        self._open = False

    async def fence(self) -> None:
        """End the epoch of the id's previous owner, and settle its transaction (InitProducerId)."""
        with translated():
            await self._brokers.connect()
            await self._transactions.take_over()

    async def fence_other(self, transactional_id: str) -> bool:
        """End the epoch of another id's owner. Return False if the request failed for now, so that the caller retries.

        A transaction of that id that is still ending is one cause.
        """
        request = requests.init_producer(transactional_id, self._timeout_ms)
        with translated():
            known = await self._brokers.once(of_transactions(transactional_id), request)
        if known is not None and known.code:
            raise fault(known.code, transactional_id)
        return known is not None

    async def harmless(self, transactional_id: str) -> bool:
        """Return True if the id's open transaction is certain to abort, although a broker cannot complete it yet."""
        if not self._brokers.connected:  # no known broker to ask
            return False
        with translated():
            found = await self._brokers.once(of_transactions(transactional_id), describe_transaction(transactional_id))
        return found is not None and found.harmless

    async def transact(
        self,
        outputs: Iterable[ProducerRecord],
        offsets: Mapping[Partition, tuple[int, str]],
        group: str | None,
        copies: Iterable[tuple[ProducerRecord, OffsetCallback]] = (),
    ) -> None:
        """Write *outputs* and *copies* and commit *offsets* (with metadata) for *group*, all in one transaction.

        A copy's callback gets its offset before the transaction ends, so before any reader sees the copy.

        UnknownTopicError is raised before any write. After any other error the outcome is unknown.
        RecordRefusedError names the topic and the refused record, if known. Each record of an ``apart`` topic has its
        own batch.
        """
        outputs, copies = list(outputs), list(copies)
        counts = await self._counts({output.topic for output in outputs} | {copy.topic for copy, _ in copies})
        now = self._clock.now_ms()
        batches = packed(outputs, counts, self._apart, now)
        batches += [_alone(copy, told, counts[copy.topic], now) for copy, told in copies]
        if not batches and not offsets:
            return
        if self._open:
            raise BrokerError("the last transaction of this publisher has not ended")
        self._open = True
        with translated():
            await self._transactions.commit(batches, offsets, group)
        self._open = False

    async def _counts(self, topics: Iterable[str]) -> dict[str, int]:
        with translated():
            return {topic: await self._brokers.partitions(topic, self._patience_s) for topic in topics}

    async def kill(self) -> None:
        """Close the connections in any state. The next ``fence`` ends an open transaction, or it times out."""
        await self._brokers.close()


def _alone(copy: ProducerRecord, told: OffsetCallback, count: int, now: int) -> RecordBatch:
    batch = RecordBatch(partition_for(copy, count), told)
    batch.add(copy, now)
    return batch
