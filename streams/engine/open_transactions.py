"""The open transactions that a broker forgot: end those of this shard as they were decided, and report the others.

A broker may complete a transaction without its end marker while a partition has no leader (KAFKA-20734). Committed
readers stop before its records, and the next marker of the same producer id decides them. So the shard ends them before
it writes to the partition again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple

import structlog

from schemas.records import Partition
from streams.engine.runtime import Runtime
from streams.offsets.offset_map import Committed
from streams.telemetry.metric_definitions import FORGOTTEN_TRANSACTIONS, PARTITION_HAS_OPEN_TRANSACTION
from streams.transport.errors import TransportError
from streams.transport.protocol.describe_producers import OpenTransaction
from streams.transport.transactional_producer import TransactionalProducer

OPENINGS_KEPT: Final = 8
"""The openings of a shard whose offsets are kept. A transaction is decided by the first opening after it."""

WATCH_S: Final = 2.0
"""Seconds between two looks for leaders that have come back. A look without any sends no request."""

LONGEST_WATCH_S: Final = 8.0
"""Seconds between two looks while leaders stay away."""

MOST_SURVEYED: Final = 256
"""Partitions that a new owner asks about. With more, it learns of a forgotten transaction by its next write there."""

FOREIGN_AFTER_S: Final = 30.0
"""An open transaction of another producer is suspicious once its last record is this old. Ours end within 8 s."""

FOREIGN_AGAIN_S: Final = 20.0
"""Seconds after which a suspicious transaction is looked up again. It is reported if it is still open."""

log = structlog.get_logger()


class Opening(NamedTuple):
    """The state at one opening of the shard: what was decided before its fence is final in it."""

    epochs: Mapping[int, int]
    """The epoch of the fence, by producer id."""

    committed: Mapping[Partition, Committed]
    """The offsets and maps that were read after the fence."""

    def is_after(self, found: OpenTransaction) -> bool:
        """Return True if the transaction was written before this fence."""
        epoch = self.epochs.get(found.producer.id)
        return epoch is not None and found.producer.epoch < epoch


class OpenTransactions:
    """The open transactions that one shard has met, in all of its lives in this process."""

    def __init__(self, runtime: Runtime, number: int) -> None:
        self._runtime, self._number = runtime, number
        self._openings: deque[Opening] = deque(maxlen=OPENINGS_KEPT)
        self._suspicious: dict[Partition, OpenTransaction] = {}
        self._producer: TransactionalProducer | None = None

    def opened(self, producer: TransactionalProducer, committed: Mapping[Partition, Committed]) -> None:
        """Note an opening, with the offsets and maps that were read after the fence."""
        producer.take_up(self._surveyed() if self._producer is None else self._producer.left | self._producer.deferred)
        self._producer = producer
        epochs = {number: known.producer.epoch for number, known in producer.fenced.items()}
        self._openings.append(Opening(epochs, committed))

    def _surveyed(self) -> Collection[Partition]:
        """Return the partitions that a former owner may have left; none if they are too many to ask about."""
        places = self._runtime.handler.survey(self._number)
        return places if len(places) <= MOST_SURVEYED else ()

    async def watch(
        self, tell: Callable[[Mapping[Partition, OpenTransaction]], None], reopen: Callable[[str], None]
    ) -> None:
        """Call *tell* with the shard's open transactions wherever a leader has come back, until cancelled.

        Committed readers of such a partition wait for them, even if the shard never writes to it again. *reopen* is
        called once a blocked id of the shard is free: its open transactions can be ended by the next life.
        """
        pause = WATCH_S
        while True:
            await asyncio.sleep(pause)
            if await self._is_unblocked():
                reopen("blocked transactional id fenced")
                return
            found = await self._looked()
            if found:
                tell(found)
            pause = min(LONGEST_WATCH_S, pause * 2) if found is not None else WATCH_S

    async def _is_unblocked(self) -> bool:
        try:
            return self._producer is not None and await self._producer.fence_blocked()
        except TransportError as error:
            log.info("transactional_id_not_fenced", shard=self._number, error=str(error))
            return False

    async def _looked(self) -> Mapping[Partition, OpenTransaction] | None:
        """Return the open transactions where a leader has come back; None if none was away."""
        try:
            return await self._producer.look() if self._producer is not None else None
        except TransportError as error:
            log.info("open_transactions_not_known", shard=self._number, error=str(error))
            return {}

    # --- our own ------------------------------------------------------------------------------------------------------

    async def end(self, producer: TransactionalProducer, found: Mapping[Partition, OpenTransaction]) -> str | None:
        """End each as it was decided. Return a doubt, after which the shard reopens, or None.

        A partition whose transaction could not be ended accepts no outputs for a while.
        """
        for place, each in found.items():
            try:
                async with asyncio.timeout(self._runtime.config.transaction_deadline_s):
                    await self._end(producer, place, each)
            except Exception as error:  # noqa: BLE001 - whatever the reason: only a fence makes the id certain again
                self._runtime.topic_health.block(place)
                return f"open transaction of {place} not ended: {error!r}"
        return None

    async def _end(self, producer: TransactionalProducer, place: Partition, found: OpenTransaction) -> None:
        commit = await self._was_committed(producer, place, found)
        await producer.end_forgotten(place, found, commit=commit)
        self._runtime.metrics.count(FORGOTTEN_TRANSACTIONS, "committed" if commit else "aborted")
        log.warning(
            "forgotten_transaction_ended",
            group=self._runtime.handler.group,
            shard=self._number,
            partition=str(place),
            offset=found.start,
            commit=commit,
        )

    async def _was_committed(self, producer: TransactionalProducer, place: Partition, found: OpenTransaction) -> bool:
        """Return True if the transaction was committed.

        One of this life was: any other end of a transaction ends the life. An earlier one was if the first opening
        after it found its inputs done.
        """
        opening = next((each for each in self._openings if each.is_after(found)), None)
        if opening is None:
            return True
        inputs = await producer.inputs_of(place, found)
        states = dict(opening.committed)
        if unknown := {partition for partition, _ in inputs} - states.keys():
            states |= await self._runtime.offsets.read(unknown)
        done = [partition in states and states[partition].holds(offset) for partition, offset in inputs]
        if any(done) and not all(done):
            log.error("forgotten_transaction_mixed", partition=str(place), offset=found.start, inputs=len(done))
        return any(done)

    # --- of other producers -------------------------------------------------------------------------------------------

    def note_foreign(self, place: Partition, found: OpenTransaction) -> None:
        """Report the open transaction of another producer, if it is old and stays open. Most are simply at work."""
        old = self._runtime.clock.now_ms() - found.last_ms > FOREIGN_AFTER_S * 1_000
        if old and self._suspicious.get(place) != found:
            self._suspicious[place] = found
            self._runtime.tasks.spawn(self._report_if_open(place, found))

    async def _report_if_open(self, place: Partition, found: OpenTransaction) -> None:
        await asyncio.sleep(FOREIGN_AGAIN_S)
        if found in await self._still_open(place):
            self._runtime.metrics.count(PARTITION_HAS_OPEN_TRANSACTION)
            log.error(
                "partition_has_open_transaction",
                partition=str(place),
                producer_id=found.producer.id,
                offset=found.start,
                next=operator_command(place, found),
            )

    async def _still_open(self, place: Partition) -> Collection[OpenTransaction]:
        try:
            return await self._producer.open_transactions(place) if self._producer else ()
        except TransportError:
            return ()


def operator_command(place: Partition, found: OpenTransaction) -> str:
    """Return the command that ends the open transaction of a producer that no longer exists."""
    return (
        f"if no producer is at work there: kafka-transactions.sh --bootstrap-server HOST:PORT abort"
        f" --topic {place.topic} --partition {place.number} --start-offset {found.start}"
    )
