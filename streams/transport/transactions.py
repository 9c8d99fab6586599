"""The transactions of one transactional id, in version 1 or 2 of Kafka's transaction protocol.

In version 2 (KIP-890, part 2), writes and commits join the transaction implicitly, and its end bumps the epoch. So
there are three responses to wait for: from the leaders, the group coordinator and the transaction coordinator. Version
1 announces partitions and group first, so there are four. The versions differ in which requests may be resent. Each
method gives the reason.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeVar

from schemas.clock import Clock
from schemas.records import Partition
from streams.transport.aiokafka_types import KafkaError
from streams.transport.brokers import Brokers, of_group, of_transactions, pauses
from streams.transport.errors import (
    AccessDeniedError,
    BrokerError,
    OutcomeUnknownError,
    RecordRefusedError,
    TransportError,
    may_pass,
)
from streams.transport.leader_checks import LeaderChecks
from streams.transport.protocol import requests
from streams.transport.protocol.error_codes import (
    DUPLICATE,
    FENCED,
    LEADERLESS,
    NOT_ATTEMPTED,
    TOPIC_FORBIDDEN,
    UNWRITTEN,
    fault,
    refusal,
)
from streams.transport.protocol.record_batches import RecordBatch, rounds
from streams.transport.protocol.requests import CLASSIC, IMPLIED, NOBODY, Producer, WrittenBatch

FEATURE: Final = "transaction.version"
IMPLIED_FROM: Final = 2

SETTLE_S: Final = 0.003
"""Seconds between the end of a version 2 transaction and the start of the next. While the coordinator still announces
the end to the leaders, it makes a leader ask again after 20 ms. Without this pause, half of the closely spaced
transactions waited for that; with it, one in thirty."""

_SEQUENCES: Final = 2**31
_Said = TypeVar("_Said")
_NOT_SAID: Final = WrittenBatch(-1, -1)


class Transactions:
    """The transactions of one id, from its takeover to the first error."""

    def __init__(
        self,
        brokers: Brokers,
        transactional_id: str,
        clock: Clock,
        *,
        timeout_ms: int,
        request_timeout_ms: int,
        checks: LeaderChecks | None = None,
    ) -> None:
        """With *checks*, a leader that changes or reconnects during a transaction is asked before the next write."""
        self._brokers, self._id, self._clock, self._checks = brokers, transactional_id, clock, checks
        self._timeout_ms, self._request_timeout_ms = timeout_ms, request_timeout_ms
        self._coordinator = of_transactions(transactional_id)
        self._versions = CLASSIC
        self._producer = NOBODY
        self._sequences: dict[Partition, int] = {}
        self._settled = float("-inf")

    @property
    def producer(self) -> Producer:
        """The producer id and epoch of the next records."""
        return self._producer

    @property
    def in_progress(self) -> Producer:
        """The producer of the present transaction alone; none in version 1, where all transactions have the same."""
        return self._producer if self._versions is IMPLIED else NOBODY

    async def take_over(self) -> None:
        """End the previous owner's epoch and its open transaction. Retry for as long as that takes."""
        self._versions = IMPLIED if await self._brokers.level(FEATURE) >= IMPLIED_FROM else CLASSIC
        request = requests.init_producer(self._id, self._timeout_ms)
        known, _ = await self._brokers.settled(self._coordinator, request, resend=True)
        if known.code:
            raise fault(known.code, self._id)
        self._begin(known.producer)

    def _begin(self, producer: Producer) -> None:
        self._producer = producer
        self._sequences = {}

    async def commit(
        self, batches: Sequence[RecordBatch], offsets: Mapping[Partition, tuple[int, str]], group: str | None
    ) -> None:
        """Write *batches*, commit *offsets*, and end the transaction."""
        if self._versions is CLASSIC:
            await self._join({batch.place for batch in batches}, group if offsets else None)
        else:
            await self._rest()
        for turn in rounds(batches):
            await self._write(turn)
        for batch in batches:
            if batch.told is not None:
                batch.told(_offset(batch))
        if offsets:
            # After the records: when overlapped with them, 7 % of transactions met NotEnoughReplicas and a back-off.
            await self._commit_offsets(offsets, group or "")
        await self._end()

    async def _rest(self) -> None:
        pause = self._settled - self._clock.monotonic()
        if pause > 0:
            await asyncio.sleep(pause)

    # --- records ------------------------------------------------------------------------------------------------------

    async def _write(self, batches: list[RecordBatch]) -> None:
        """Send one batch per partition to all leaders at once. Resend the batches with a transient error."""
        for batch in batches:
            sequence = self._sequences.get(batch.place, 0)
            batch.number(self._producer, sequence)
            self._sequences[batch.place] = (sequence + batch.records) % _SEQUENCES
        left = batches
        for pause in pauses():
            left = await self._attempt(left)
            if not left:
                return
            await asyncio.sleep(pause)

    async def _attempt(self, batches: list[RecordBatch]) -> list[RecordBatch]:
        """Send *batches* to their leaders and return those to resend."""
        led: dict[int, list[RecordBatch]] = defaultdict(list)
        left: list[RecordBatch] = []
        unchecked = await self._unchecked(batches)
        for batch in batches:
            node = self._brokers.leader(batch.place)
            (left if node is None or batch.place in unchecked else led[node]).append(batch)
        if left:
            self._brokers.look_again()
        for again in await _together([self._to_leader(node, theirs) for node, theirs in led.items()]):
            left += again
        return left

    async def _unchecked(self, batches: list[RecordBatch]) -> Collection[Partition]:
        """Return the partitions that cannot be checked now. Raise BrokerError if one has an open transaction of before.

        A leader that was away may have missed the end of the last transaction (``leader_checks``). In version 1 all
        transactions have one epoch, so a batch of this transaction raises too. The shard then reopens.
        """
        if self._checks is None or not (places := self._checks.unchecked([batch.place for batch in batches])):
            return ()
        current = self.in_progress
        for place, found in (await self._checks.ask(places)).items():
            if any(each.producer.id == self._producer.id and each.producer != current for each in found):
                raise BrokerError(f"{place} has an open transaction of an earlier epoch")
        return self._checks.unchecked(places)

    async def _to_leader(self, node: int, batches: list[RecordBatch]) -> list[RecordBatch]:
        """Send *batches* to one leader and return those to resend.

        A batch is also resent after a lost response, in both versions. The same bytes are sent again, with the same
        epoch and sequence numbers. The leader identifies a batch by these, so it writes only the copy that arrives
        first. Once the epoch has ended, it refuses a late copy. So a resend is always safe.
        """
        request = requests.produce(
            self._id, self._request_timeout_ms, [(batch.place, batch.data) for batch in batches], self._versions
        )
        try:
            places = await self._brokers.to_leader(node, request)
        except KafkaError as error:
            if not may_pass(error):
                raise
            self._brokers.look_again()
            return batches
        return self._judged(batches, places)

    def _judged(self, batches: list[RecordBatch], places: Mapping[Partition, WrittenBatch]) -> list[RecordBatch]:
        again: list[RecordBatch] = []
        failures: list[TransportError] = []
        for batch in batches:
            code, batch.offset = places.get(batch.place, _NOT_SAID)
            if code in UNWRITTEN:
                again.append(batch)
                if code in LEADERLESS:
                    self._brokers.look_again()
            elif code not in {0, DUPLICATE}:
                failures.append(refusal(code, batch))
        if failures:
            raise min(failures, key=_says_less)
        return again

    # --- partitions, offsets and the end ------------------------------------------------------------------------------

    async def _join(self, places: Collection[Partition], group: str | None) -> None:
        """Announce the partitions and the group (version 1 only). Both requests are sent at once.

        The broker handles them one after the other. Neither is resent after a lost response, because a late copy might
        open the next transaction.
        """
        asks: list[Coroutine[Any, Any, None]] = []
        if places:
            asks.append(self._add_partitions(places))
        if group is not None:
            asks.append(self._add_group(group))
        await _together(asks)

    async def _add_partitions(self, places: Collection[Partition]) -> None:
        request = requests.add_partitions(self._id, self._producer, places)
        parts, _ = await self._brokers.settled(self._coordinator, request, resend=False)
        for place, code in parts.by.items():
            if code not in {0, NOT_ATTEMPTED}:
                raise refusal(code, RecordBatch(place))

    async def _add_group(self, group: str) -> None:
        request = requests.add_offsets(self._id, self._producer, group)
        known, _ = await self._brokers.settled(self._coordinator, request, resend=False)
        if known.code:
            raise fault(known.code, group)

    async def _commit_offsets(self, offsets: Mapping[Partition, tuple[int, str]], group: str) -> None:
        """Commit *offsets* in the transaction. Resend after a lost response in version 2 only.

        In version 2 the epoch of a late copy ends with the transaction. Until then it commits the same offsets. In
        version 1 the next transaction has the same epoch.
        """
        request = requests.commit_offsets(self._id, group, self._producer, offsets, self._versions)
        parts, _ = await self._brokers.settled(of_group(group), request, resend=self._versions is IMPLIED)
        forbidden = {place.topic for place, code in parts.by.items() if code == TOPIC_FORBIDDEN}
        if forbidden:
            raise AccessDeniedError(f"offsets of {sorted(forbidden)} are forbidden", topics=forbidden)
        for place, code in parts.by.items():
            if code:
                raise fault(code, place)

    async def _end(self) -> None:
        """Commit the transaction. Resend after a lost response in version 2 only.

        In version 2 the request names one transaction, because the next has another epoch. A coordinator that has
        committed it confirms it again; one that has aborted it refuses the commit. In version 1 a late copy may end the
        *next* transaction half way: 15 duplicates in a run of the prototype.
        """
        request = requests.end(self._id, self._producer, self._versions)
        known, asked = await self._brokers.settled(self._coordinator, request, resend=self._versions is IMPLIED)
        if known.code in FENCED and asked > 1:  # an earlier attempt may have committed before the fence
            raise OutcomeUnknownError(f"fenced while asking again for the end of a transaction: error {known.code}")
        if known.code:
            raise fault(known.code, self._id)
        if self._versions is IMPLIED:
            self._begin(known.producer)
            self._settled = self._clock.monotonic() + SETTLE_S


async def _together(asks: Sequence[Coroutine[Any, Any, _Said]]) -> list[_Said]:
    """Run *asks* concurrently. The first failure cancels the others. RecordRefusedError has precedence."""
    if len(asks) == 1:  # the usual case, without the cost of a task
        return [await asks[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask) for ask in asks]
    except ExceptionGroup as failed:
        raise min(failed.exceptions, key=_says_less) from None
    return [task.result() for task in tasks]


def _says_less(error: Exception) -> bool:
    """Return False for RecordRefusedError. Failures that follow from a refused batch are less specific."""
    return not isinstance(error, RecordRefusedError)


def _offset(batch: RecordBatch) -> int:
    """Return the offset of *batch*. Raises BrokerError if it is unknown, as after DUPLICATE without an offset."""
    if batch.offset < 0:
        raise BrokerError("the broker did not return the offset of a record")
    return batch.offset
