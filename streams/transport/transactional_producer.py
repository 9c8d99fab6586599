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
from streams.transport.leader_checks import LeaderChecks
from streams.transport.open_transactions import FencedId, OpenTransactionError, end, inputs_of
from streams.transport.protocol import requests
from streams.transport.protocol.describe_producers import OpenTransaction
from streams.transport.protocol.describe_transactions import describe_transaction
from streams.transport.protocol.error_codes import fault
from streams.transport.protocol.record_batches import OffsetCallback, RecordBatch, packed, partition_for
from streams.transport.protocol.requests import Producer
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
        foreign: Callable[[Partition, OpenTransaction], None] | None = None,
    ) -> None:
        """With *foreign*, partitions are checked for open transactions before the first write to them.

        It is called for each that belongs to another producer, which may be at work.
        """
        self._clock, self._apart, self._foreign = clock, apart, foreign
        self.transactional_id = transactional_id
        self._timeout_ms, self._patience_s = timeout_ms, request_timeout_ms / 1_000
        options = connection.options()
        client = Client(**options, client_id=name, request_timeout_ms=request_timeout_ms, retry_backoff_ms=20)
        aiokafka_private.create_nothing(client)
        aiokafka_private.leave_nothing_open(client)
        self._brokers = Brokers(client)
        self._checks = LeaderChecks(self._brokers) if foreign else None
        self._transactions = Transactions(
            self._brokers,
            transactional_id,
            clock,
            timeout_ms=timeout_ms,
            request_timeout_ms=request_timeout_ms,
            checks=self._checks,
        )
        self._open = False
        self.fenced: dict[int, FencedId] = {}
        """The shard's ids that this producer has fenced, by producer id, with the epoch of the fence."""

        self.left: set[Partition] = set()
        """Partitions where the end of the last transactions may be missing: those of the last one, and once killed,
        those whose leader is away."""

        self.settling: set[int] = set()
        """Producer ids of this shard whose last transaction is certain to abort, although it cannot end yet."""

        self.blocked_id: str | None = None
        """The shard's other transactional id, if a transaction of it cannot end yet and it is not fenced."""

        self.deferred: set[Partition] = set()
        """Partitions with an open transaction of an id in ``settling``. It can be ended once that id is fenced."""

    async def fence(self) -> None:
        """End the epoch of the id's previous owner, and settle its transaction (InitProducerId)."""
        with translated():
            await self._brokers.connect()
            await self._transactions.take_over()
        self._note_fenced(self.transactional_id, self._transactions.producer)

    def _note_fenced(self, transactional_id: str, producer: Producer) -> None:
        self.fenced[producer.id] = FencedId(transactional_id, producer)

    async def fence_other(self, transactional_id: str) -> bool:
        """End the epoch of another id's owner. Return False if the request failed for now, so that the caller retries.

        A transaction of that id that is still ending is one cause.
        """
        request = requests.init_producer(transactional_id, self._timeout_ms)
        with translated():
            known = await self._brokers.once(of_transactions(transactional_id), request)
        if known is not None and known.code:
            raise fault(known.code, transactional_id)
        if known is not None:
            self._note_fenced(transactional_id, known.producer)
        return known is not None

    async def fence_blocked(self) -> bool:
        """Fence ``blocked_id``, and return True if that was possible now. Its open transactions can be ended then."""
        if self.blocked_id is None or not await self.fence_other(self.blocked_id):
            return False
        self.blocked_id = None
        return True

    async def harmless(self, transactional_id: str) -> bool:
        """Return True if the id's open transaction is certain to abort, although a broker cannot complete it yet."""
        if not self._brokers.connected:  # no known broker to ask
            return False
        with translated():
            found = await self._brokers.once(of_transactions(transactional_id), describe_transaction(transactional_id))
        if found is None or not found.harmless:
            return False
        self.settling.add(found.producer_id)
        return True

    async def transact(
        self,
        outputs: Iterable[ProducerRecord],
        offsets: Mapping[Partition, tuple[int, str]],
        group: str | None,
        copies: Iterable[tuple[ProducerRecord, OffsetCallback]] = (),
    ) -> None:
        """Write *outputs* and *copies* and commit *offsets* (with metadata) for *group*, all in one transaction.

        A copy's callback gets its offset before the transaction ends, so before any reader sees the copy.

        UnknownTopicError and OpenTransactionError are raised before any write. After any other error the outcome is
        unknown.
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
        places = [batch.place for batch in batches]
        await self._check(places)
        self.left = set(places)
        self._open = True
        with translated():
            await self._transactions.commit(batches, offsets, group)
        self._open = False

    async def _check(self, places: list[Partition]) -> None:
        """Raise OpenTransactionError if this shard has an open transaction of before in one of *places*."""
        if self._checks is None or not (unchecked := self._checks.unchecked(places)):
            return
        if ours := await self._ours(self._checks, unchecked):
            raise OpenTransactionError(ours)

    async def look(self) -> dict[Partition, OpenTransaction] | None:
        """Ask the leaders that have been away since their check. Return the open transactions of this shard.

        None means that no leader was away. The partitions stay unchecked. In version 1 a transaction in progress may be
        among them.
        """
        if self._checks is None or not (places := self._checks.stale()):
            return None
        found = await self._ours(self._checks, places)
        self._checks.uncheck(found)
        current = self._transactions.in_progress
        return {place: each for place, each in found.items() if each.producer != current}

    def take_up(self, places: Iterable[Partition]) -> None:
        """Have ``look`` ask about the partitions that a former producer ``left``."""
        if self._checks is not None:
            self._checks.add(places)

    async def _ours(self, checks: LeaderChecks, places: list[Partition]) -> dict[Partition, OpenTransaction]:
        """Return the open transactions of this shard in *places*. Tell of those of unknown producers."""
        current = self._transactions.producer  # another id than at the fence, if the epochs have run out since
        self.fenced.setdefault(current.id, FencedId(self.transactional_id, current))
        with translated():
            found = await checks.ask(places)
        ours: dict[Partition, OpenTransaction] = {}
        for place, each in [(place, each) for place, several in found.items() for each in several]:
            if each.producer.id in self.fenced:
                ours[place] = each
            elif each.producer.id in self.settling:
                self.deferred.add(place)
            elif self._foreign is not None:
                self._foreign(place, each)
        return ours

    async def open_transactions(self, place: Partition) -> list[OpenTransaction]:
        """Return the open transactions of all producers in *place*; none if its leader is away."""
        with translated():
            return (await LeaderChecks(self._brokers).ask([place])).get(place, [])

    async def inputs_of(self, place: Partition, found: OpenTransaction) -> set[tuple[Partition, int]]:
        """Return the inputs of the open transaction's first records."""
        with translated():
            return await inputs_of(self._brokers, place, found)

    async def end_forgotten(self, place: Partition, found: OpenTransaction, *, commit: bool) -> None:
        """End an open transaction that OpenTransactionError has named. After any error the outcome is unknown."""
        owner = self.fenced[found.producer.id]
        if owner.transactional_id == self.transactional_id:
            owner = owner._replace(producer=self._transactions.producer)
        with translated():
            await end(self._brokers, owner, place, commit=commit)

    async def _counts(self, topics: Iterable[str]) -> dict[str, int]:
        with translated():
            return {topic: await self._brokers.partitions(topic, self._patience_s) for topic in topics}

    async def kill(self) -> None:
        """Close the connections in any state. The next ``fence`` ends an open transaction, or it times out."""
        if self._checks is not None:
            self.left.update(self._checks.stale())
        await self._brokers.close()


def _alone(copy: ProducerRecord, told: OffsetCallback, count: int, now: int) -> RecordBatch:
    batch = RecordBatch(partition_for(copy, count), told)
    batch.add(copy, now)
    return batch
