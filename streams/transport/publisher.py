"""A shard's transactional producer: outputs and offsets in one short transaction, thrown away on any doubt.

aiokafka connects, authenticates and knows who leads what. The transactions are our own: its producer speaks version 1
of the protocol only, one request after another, and spends 1 to 2 ms of CPU on each, whatever is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from schemas.clock import Clock
from schemas.records import Outgoing, Partition
from streams.transport import internals, requests
from streams.transport.brokers import Brokers, of_transactions
from streams.transport.codes import fault
from streams.transport.connection import Connection
from streams.transport.errors import BrokerError, translated
from streams.transport.library import Client
from streams.transport.packing import Batch, Told, packed, place_of
from streams.transport.transactions import Transactions
from streams.transport.unsettled import describe


class Publisher:
    """One transactional id, from its fence to its first doubt.

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
        self._clock, self._apart = clock, apart
        self._timeout_ms, self._patience_s = timeout_ms, request_timeout_ms / 1_000
        options = connection.options()
        client = Client(**options, client_id=name, request_timeout_ms=request_timeout_ms, retry_backoff_ms=20)
        internals.create_nothing(client)
        internals.leave_nothing_open(client)
        self._brokers = Brokers(client)
        self._transactions = Transactions(
            self._brokers, transactional_id, clock, timeout_ms=timeout_ms, request_timeout_ms=request_timeout_ms
        )
        self._open = False

    async def fence(self) -> None:
        """End the epoch of whoever had this id before, and settle its transaction (InitProducerId)."""
        with translated():
            await self._brokers.connect()
            await self._transactions.take_over()

    async def fence_other(self, transactional_id: str) -> bool:
        """End the epoch of whoever has another id. False if a transaction of it is still ending: ask again."""
        request = requests.init_producer(transactional_id, self._timeout_ms)
        with translated():
            known = await self._brokers.once(of_transactions(transactional_id), request)
        if known is not None and known.code:
            raise fault(known.code, transactional_id)
        return known is not None

    async def harmless(self, transactional_id: str) -> bool:
        """Whether what is open under this id can change nothing any more, though a broker cannot write down its end."""
        if not self._brokers.connected:  # it knows nobody to ask
            return False
        with translated():
            found = await self._brokers.once(of_transactions(transactional_id), describe(transactional_id))
        return found is not None and found.harmless

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
        """Let go of it, whatever state it is in. What is open is settled by the next ``fence``, or times out."""
        await self._brokers.close()


def _alone(copy: Outgoing, told: Told, count: int, now: int) -> Batch:
    batch = Batch(place_of(copy, count), told)
    batch.add(copy, now)
    return batch
