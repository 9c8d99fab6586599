"""One transaction after another of one transactional id, by either version of Kafka's protocol.

Version 2 (KIP-890, part 2): what is written or committed joins the transaction by itself, and its end bumps the epoch,
so three answers are waited for: of the leaders, of the group's coordinator, of the transactions' coordinator. Version 1
has what takes part announced first, so four. What may be sent again differs, and each place says why.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Collection, Coroutine, Mapping, Sequence
from typing import Any, Final, TypeVar

from schemas.clock import Clock
from schemas.records import Partition
from streams.transport import requests
from streams.transport.brokers import Brokers, of_group, of_transactions, pauses
from streams.transport.codes import (
    DUPLICATE,
    FENCED,
    LEADERLESS,
    NOT_ATTEMPTED,
    TOPIC_FORBIDDEN,
    UNWRITTEN,
    fault,
    refusal,
)
from streams.transport.errors import (
    AccessDeniedError,
    BrokerError,
    OutcomeUnknownError,
    RecordRefusedError,
    TransportError,
    may_pass,
)
from streams.transport.library import KafkaError
from streams.transport.packing import Batch, rounds
from streams.transport.requests import CLASSIC, IMPLIED, NOBODY, Place, Producer

FEATURE: Final = "transaction.version"
IMPLIED_FROM: Final = 2

SETTLE_S: Final = 0.003
"""How long after the end of a transaction the next one of version 2 begins. A coordinator that has not told everybody
of the end yet lets the leader ask again, after 20 ms: without this rest half of the transactions that follow each other
closely waited for that, with it one in thirty."""

_SEQUENCES: Final = 2**31
_Said = TypeVar("_Said")
_NOT_SAID: Final = Place(-1, -1)


class Transactions:
    """Those of one id, from the moment it was taken over to the first error."""

    def __init__(
        self, brokers: Brokers, transactional_id: str, clock: Clock, *, timeout_ms: int, request_timeout_ms: int
    ) -> None:
        self._brokers, self._id, self._clock = brokers, transactional_id, clock
        self._timeout_ms, self._request_timeout_ms = timeout_ms, request_timeout_ms
        self._coordinator = of_transactions(transactional_id)
        self._versions = CLASSIC
        self._producer = NOBODY
        self._sequences: dict[Partition, int] = {}
        self._settled = float("-inf")

    @property
    def producer(self) -> Producer:
        """Under which id and epoch the next records are written."""
        return self._producer

    async def take_over(self) -> None:
        """End the epoch of whoever had the id before, and what it left open. Asked again for as long as that takes."""
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
        self, batches: Sequence[Batch], offsets: Mapping[Partition, tuple[int, str]], group: str | None
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
            # Only now: overlapped with the records, 7 % of transactions met NotEnoughReplicas and a back-off.
            await self._commit_offsets(offsets, group or "")
        await self._end()

    async def _rest(self) -> None:
        pause = self._settled - self._clock.monotonic()
        if pause > 0:
            await asyncio.sleep(pause)

    # --- records ------------------------------------------------------------------------------------------------------

    async def _write(self, batches: list[Batch]) -> None:
        """One batch for each partition, to all leaders at once; again to those that could not take theirs yet."""
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

    async def _attempt(self, batches: list[Batch]) -> list[Batch]:
        """Returns those that have to be sent again."""
        led: dict[int, list[Batch]] = defaultdict(list)
        left: list[Batch] = []
        for batch in batches:
            node = self._brokers.leader(batch.place)
            (left if node is None else led[node]).append(batch)
        if left:
            self._brokers.look_again()
        for again in await _together([self._to_leader(node, theirs) for node, theirs in led.items()]):
            left += again
        return left

    async def _to_leader(self, node: int, batches: list[Batch]) -> list[Batch]:
        """Returns those that have to be sent again.

        Also after a lost answer, in both versions: the same bytes go out again, with the same epoch and numbers. A
        leader knows a batch by these, whichever copy comes first, so it is written once; and once the epoch has ended,
        a late copy is refused. So there is nothing to guess.
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

    def _judged(self, batches: list[Batch], places: Mapping[Partition, Place]) -> list[Batch]:
        again: list[Batch] = []
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

    # --- what takes part, and the end ---------------------------------------------------------------------------------

    async def _join(self, places: Collection[Partition], group: str | None) -> None:
        """Version 1: who takes part. Both questions are sent at once; a broker answers them one after the other.

        Neither is sent again after a lost answer: a late copy might open the next transaction.
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
                raise refusal(code, Batch(place))

    async def _add_group(self, group: str) -> None:
        request = requests.add_offsets(self._id, self._producer, group)
        known, _ = await self._brokers.settled(self._coordinator, request, resend=False)
        if known.code:
            raise fault(known.code, group)

    async def _commit_offsets(self, offsets: Mapping[Partition, tuple[int, str]], group: str) -> None:
        """Sent again after a lost answer in version 2 only: a late copy has an epoch that the end of the transaction
        has ended, and until then it says the same. In version 1 the next transaction has the same epoch.
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
        """Sent again after a lost answer in version 2 only: there it names one transaction, for the next has another
        epoch. A coordinator that has ended it says so again, and one that has aborted it refuses to commit it. In
        version 1 a late copy may end the *next* transaction half way (15 duplicates in a run of the prototype).
        """
        request = requests.end(self._id, self._producer, self._versions)
        known, asked = await self._brokers.settled(self._coordinator, request, resend=self._versions is IMPLIED)
        if known.code in FENCED and asked > 1:  # who fenced us may have come after an end that we heard nothing of
            raise OutcomeUnknownError(f"fenced while asking again for the end of a transaction: error {known.code}")
        if known.code:
            raise fault(known.code, self._id)
        if self._versions is IMPLIED:
            self._begin(known.producer)
            self._settled = self._clock.monotonic() + SETTLE_S


async def _together(asks: Sequence[Coroutine[Any, Any, _Said]]) -> list[_Said]:
    """All of *asks* at once; the first failure ends the others, and a refused record says most."""
    if len(asks) == 1:  # most of the time: a task is not free
        return [await asks[0]]
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask) for ask in asks]
    except ExceptionGroup as failed:
        raise min(failed.exceptions, key=_says_less) from None
    return [task.result() for task in tasks]


def _says_less(error: Exception) -> bool:
    """What follows a refused batch fails too, and says less."""
    return not isinstance(error, RecordRefusedError)


def _offset(batch: Batch) -> int:
    """Where a batch stands. A broker that knows a repeated batch only as repeated cannot say: then it is a doubt."""
    if batch.offset < 0:
        raise BrokerError("the broker did not say where a record stands")
    return batch.offset
