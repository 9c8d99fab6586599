"""The time of brokers, measured by records that they stamp with the time of their append."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Final, Literal, NamedTuple

from schemas.clock import CorrectedClock
from schemas.records import Partition
from streams.transport.aiokafka_types import BatchBuilder, KafkaError, TopicPartition, Untyped, errors
from streams.transport.errors import KafkaUnreachableError, may_pass
from streams.transport.protocol.append_request import append
from streams.transport.watermarks import partitions_of

BROKERS: Final = 3
"""Brokers asked in one measurement: one with a wrong clock is outvoted."""

KEY: Final = b"clock"
NO_ANSWER: Final = "no answer"
NO_TIME: Final = "no time"
_ANSWER_S: Final = 3.0
_MAGIC, _PLAIN, _BATCH_BYTES = 2, 0, 1_024


class AppendTime(NamedTuple):
    """One append: the broker's time, and this machine's time before the request and after the response."""

    before_ms: int
    appended_ms: int
    after_ms: int

    @property
    def offset_ms(self) -> int:
        """The milliseconds that this machine's clock is certainly behind the broker's; negative if it is ahead.

        The append was at some time between request and response, so a slow response proves less.
        """
        if self.appended_ms > self.after_ms:
            return self.appended_ms - self.after_ms
        return min(0, self.appended_ms - self.before_ms)


def offset_of(found: list[AppendTime]) -> int:
    """Return the median offset. Of two in the middle it is the smaller one: a broker's clock may be the wrong one."""
    offsets = sorted(each.offset_ms for each in found)
    middle = offsets[(len(offsets) - 1) // 2 : len(offsets) // 2 + 1]
    return min(middle, key=abs)


async def append_times(client: Untyped, topic: str, clock: CorrectedClock, deadline_s: float) -> list[AppendTime]:
    """Append a record to *topic* at each of a few leaders, and return the times of those that stamped it.

    The list is empty if they refuse it, or keep the writer's time. Raises KafkaUnreachableError if no leader answers.
    """
    numbers = await partitions_of(client, topic, deadline_s)
    places = list(dict(_by_leader(client, topic, numbers)).items())[:BROKERS]
    async with asyncio.TaskGroup() as tasks:
        asked = [tasks.create_task(_append_time(client, node, place, clock)) for node, place in places]
    answers = [each.result() for each in asked]
    found = [each for each in answers if isinstance(each, AppendTime)]
    if not found and all(each is NO_ANSWER for each in answers):
        await client.force_metadata_update()
        raise KafkaUnreachableError(f"the leaders of {topic}")
    return found


def _by_leader(client: Untyped, topic: str, numbers: list[int]) -> Iterator[tuple[int, Partition]]:
    for number in numbers:
        leader: int | None = client.cluster.leader_for_partition(TopicPartition(topic, number))
        if leader is not None and leader >= 0:
            yield leader, Partition(topic, number)


async def _append_time(
    client: Untyped, node: int, place: Partition, clock: CorrectedClock
) -> AppendTime | Literal["no answer", "no time"]:
    """Return the time of one append, or the reason why there is none."""
    before_ms, began = clock.uncorrected_ms(), clock.monotonic()
    try:
        async with asyncio.timeout(_ANSWER_S):
            answer = await client.send(node, append(place, round(_ANSWER_S * 1_000), _batch(before_ms)))
    except (KafkaError, TimeoutError):
        return NO_ANSWER
    after_ms = before_ms + round((clock.monotonic() - began) * 1_000)
    if answer.code:
        return NO_ANSWER if may_pass(errors.for_code(answer.code)()) else NO_TIME
    return NO_TIME if answer.appended_ms < 0 else AppendTime(before_ms, answer.appended_ms, after_ms)


def _batch(now_ms: int) -> bytes:
    """Return a batch with one record that nothing reads."""
    builder: Untyped = BatchBuilder(_MAGIC, _PLAIN, 0, -1, -1, -1, _BATCH_BYTES)
    builder.append(0, now_ms, KEY, None, [])
    return bytes(builder.build())
