"""The first and last offsets of partitions, requested from their leaders."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection
from contextlib import suppress

from schemas.records import Partition
from streams.transport.aiokafka_types import KafkaError, ListOffsetsRequest, TopicPartition, Untyped, errors
from streams.transport.errors import KafkaUnreachableError, UnknownTopicError, own, translated

_LATEST, _EARLIEST = -1, -2
_READ_UNCOMMITTED, _READ_COMMITTED = 0, 1  # with the second, "latest" is the last stable offset
_RETRY_S = 0.1
_SURE_S = 3.0  # because brokers learn of a new topic one after another


async def high_watermarks(
    client: Untyped, partitions: Collection[Partition], deadline_s: float
) -> dict[Partition, int]:
    """Return the offset after the last record of each partition, open transactions included."""
    return await _ask(client, partitions, _LATEST, deadline_s)


async def stable_ends(client: Untyped, partitions: Collection[Partition], deadline_s: float) -> dict[Partition, int]:
    """Return each partition's last stable offset: the start of its oldest open transaction, else its high watermark."""
    return await _ask(client, partitions, _LATEST, deadline_s, isolation=_READ_COMMITTED)


async def beginnings(client: Untyped, partitions: Collection[Partition], deadline_s: float) -> dict[Partition, int]:
    """Return the first offset that is still in the log of each partition."""
    return await _ask(client, partitions, _EARLIEST, deadline_s)


async def known_beginnings(
    client: Untyped, partitions: Collection[Partition], deadline_s: float
) -> dict[Partition, int]:
    """Return the same as ``beginnings``, but leave out partitions without a leader's response before the deadline."""
    for topic in {partition.topic for partition in partitions}:  # all topics first, as in ``_ask``
        client.add_topic(topic)
    found, _ = await _answers(client, partitions, (_EARLIEST, _READ_UNCOMMITTED), deadline_s)
    return found


async def since(
    client: Untyped, partitions: Collection[Partition], at_ms: int, deadline_s: float
) -> dict[Partition, int]:
    """Return the offset of each partition's first record with timestamp *at_ms* or later.

    Without such a record, it is the log's end at the time of the call.
    """
    ends = await high_watermarks(client, partitions, deadline_s)
    found = await _ask(client, partitions, at_ms, deadline_s)
    return {partition: ends[partition] if offset < 0 else offset for partition, offset in found.items()}


async def partitions_of(client: Untyped, topic: str, deadline_s: float) -> list[int]:
    """Return the topic's partition numbers in ascending order.

    Raises UnknownTopicError once brokers have denied the topic for 3 s, or if it is unknown at the deadline.
    """
    try:
        async with asyncio.timeout(deadline_s):
            return await _known(client, topic, asyncio.get_running_loop().time)
    except TimeoutError:
        raise UnknownTopicError(topic) from None


async def _known(client: Untyped, topic: str, now: Callable[[], float]) -> list[int]:
    denied_s: float | None = None
    while not (found := client.cluster.partitions_for_topic(topic)):
        client.add_topic(topic)
        answered = await client.force_metadata_update()
        if topic in client.cluster.unauthorized_topics:
            raise own(errors.TopicAuthorizationFailedError(topic))
        if not client.cluster.partitions_for_topic(topic):
            denied_s = (denied_s or now()) if answered else None
            if denied_s is not None and now() - denied_s > _SURE_S:
                raise UnknownTopicError(topic)
            await asyncio.sleep(_RETRY_S)
    numbers: list[int] = sorted(found)
    return numbers


async def _ask(
    client: Untyped, partitions: Collection[Partition], when: int, deadline_s: float, isolation: int = _READ_UNCOMMITTED
) -> dict[Partition, int]:
    topics = {partition.topic for partition in partitions}
    for topic in topics:  # all topics first: a metadata request for each of a hundred new topics takes seconds
        client.add_topic(topic)
    for topic in topics:
        await partitions_of(client, topic, deadline_s)
    found, reason = await _answers(client, partitions, (when, isolation), deadline_s)
    if missing := ", ".join(str(partition) for partition in partitions if partition not in found):
        raise KafkaUnreachableError(f"the leaders of {missing}", reason)
    return found


async def _answers(
    client: Untyped, partitions: Collection[Partition], what: tuple[int, int], deadline_s: float
) -> tuple[dict[Partition, int], object]:
    """Return the offsets received before the deadline, and the last reason why others are missing."""
    found: dict[Partition, int] = {}
    reason: object = ""
    with suppress(TimeoutError):
        async with asyncio.timeout(deadline_s):
            while missing := [partition for partition in partitions if partition not in found]:
                reason = await _round(client, missing, what, found)
    return found, reason


async def _round(
    client: Untyped, partitions: list[Partition], what: tuple[int, int], found: dict[Partition, int]
) -> object:
    """Ask each leader once and add the offsets to *found*. Return the last reason why some are missing."""
    reason: object = ""
    when, isolation = what
    for node, topics in by_leader(client, partitions, when).items():
        try:
            answer = await client.send(node, ListOffsetsRequest(-1, isolation, list(topics.items())))
        except KafkaError as error:
            reason = error
        else:
            reason = _take(answer, found) or reason
    if any(partition not in found for partition in partitions):
        await client.force_metadata_update()
        await asyncio.sleep(_RETRY_S)
    return reason


def by_leader(client: Untyped, partitions: list[Partition], when: int) -> dict[int, dict[str, list[tuple[int, int]]]]:
    """Return the partitions to request from each node, by the current metadata. Leave out those without a leader."""
    nodes: dict[int, dict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
    for partition in partitions:
        leader: int | None = client.cluster.leader_for_partition(TopicPartition(*partition))
        if leader is not None and leader >= 0:
            nodes[leader][partition.topic].append((partition.number, when))
    return nodes


def _take(answer: Untyped, found: dict[Partition, int]) -> object:
    reason: object = ""
    for topic, rows in answer.topics:
        for number, code, _, offset, *_ in rows:
            if code == 0:
                found[Partition(topic, number)] = offset
                continue
            error = errors.for_code(code)(topic)
            if not error.retriable:
                with translated():
                    raise error
            reason = error
    return reason
