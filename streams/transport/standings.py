"""Whether topics can be written to at this moment: their partitions, and which of them no broker would write to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from streams.transport.asking import answered_within, metadata_of
from streams.transport.library import (
    ConfigResourceType,
    DescribeConfigsRequest,
    KafkaError,
    Theirs,
    errors,
)

MIN_IN_SYNC: Final = "min.insync.replicas"
_SAID = (
    errors.NoError,
    errors.UnknownTopicOrPartitionError,
    errors.InvalidTopicError,
    errors.TopicAuthorizationFailedError,
)


class Standing(NamedTuple):
    """One topic as it stands."""

    partitions: int
    """0: it does not exist, or may not be seen."""

    starved: frozenset[int] = frozenset()
    """Partitions that take nothing: they have no leader, or fewer copies in step than they must have."""


async def standings(client: Theirs, topics: Collection[str], deadline_s: float) -> dict[str, Standing]:
    """How each of *topics* stands, without those of which the broker could not say. Creates none.

    KafkaUnreachableError after the deadline. Whoever may not read a topic's configuration does not learn that it has
    too few copies.
    """
    async with answered_within(deadline_s, "a broker"):
        rows = await _said(client, topics)
        needed = await _needed(client, [topic for topic, partitions in rows if any(map(_lacks, partitions))])
    return {topic: _standing(partitions, needed.get(topic, 1)) for topic, partitions in rows}


async def partition_counts(client: Theirs, topics: Collection[str], deadline_s: float) -> dict[str, int]:
    """How many partitions each of *topics* has, as ``standings`` says it; that costs a second question at times."""
    async with answered_within(deadline_s, "a broker"):
        return {topic: len(partitions) for topic, partitions in await _said(client, topics)}


async def _said(client: Theirs, topics: Collection[str]) -> list[tuple[str, Theirs]]:
    """The topics of which the broker could say how they are, with their partitions."""
    rows = await metadata_of(client, topics)
    return [(row[1], row[-1]) for row in rows if errors.for_code(row[0]) in _SAID]


def _standing(partitions: list[Theirs], needed: int) -> Standing:
    starved = (
        number
        for _, number, leader, replicas, in_step, *_ in partitions
        if leader < 0 or len(in_step) < min(needed, len(replicas))
    )
    return Standing(len(partitions), frozenset(starved))


def _lacks(partition: Theirs) -> bool:
    _, _, _, replicas, in_step, *_ = partition
    return len(in_step) < len(replicas)


async def _needed(client: Theirs, topics: list[str]) -> Mapping[str, int]:
    """How many copies must be in step, of those of *topics* whose configuration we may read."""
    if not topics:
        return {}
    wanted = [(ConfigResourceType.TOPIC, topic, [MIN_IN_SYNC]) for topic in topics]
    try:
        answer = await client.send(client.get_random_node(), DescribeConfigsRequest(wanted))
    except KafkaError:
        return {}
    return {
        topic: int(value)
        for code, _, _, topic, entries in answer.resources
        if code == 0
        for name, value, *_ in entries
        if name == MIN_IN_SYNC
    }
