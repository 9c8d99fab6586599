"""The current state of topics: their partition counts and the partitions that accept no writes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, NamedTuple

from streams.transport.aiokafka_types import (
    ConfigResourceType,
    DescribeConfigsRequest,
    KafkaError,
    Untyped,
    errors,
)
from streams.transport.broker_retry import answered_within, metadata_of

MIN_IN_SYNC: Final = "min.insync.replicas"
_SAID = (
    errors.NoError,
    errors.UnknownTopicOrPartitionError,
    errors.InvalidTopicError,
    errors.TopicAuthorizationFailedError,
)


class TopicState(NamedTuple):
    """The current state of a topic."""

    partitions: int
    """The partition count; 0 if the topic does not exist or an ACL hides it."""

    starved: frozenset[int] = frozenset()
    """Partitions that accept no writes, for want of a leader or of enough in-sync replicas."""


async def topic_states(client: Untyped, topics: Collection[str], deadline_s: float) -> dict[str, TopicState]:
    """Return the state of each of *topics*. Leave out those whose state the broker could not tell. Creates no topic.

    Raises KafkaUnreachableError after *deadline_s* seconds. A lack of in-sync replicas is found only if the ACLs allow
    reading the topic's configuration.
    """
    async with answered_within(deadline_s, "a broker"):
        rows = await _said(client, topics)
        needed = await _needed(client, [topic for topic, partitions in rows if any(map(_lacks, partitions))])
    return {topic: _standing(partitions, needed.get(topic, 1)) for topic, partitions in rows}


async def partition_counts(client: Untyped, topics: Collection[str], deadline_s: float) -> dict[str, int]:
    """Return the partition count of each of *topics*, as in ``topic_states`` but always with a single request."""
    async with answered_within(deadline_s, "a broker"):
        return {topic: len(partitions) for topic, partitions in await _said(client, topics)}


async def _said(client: Untyped, topics: Collection[str]) -> list[tuple[str, Untyped]]:
    """Return the topics whose state the broker could tell, with their partitions."""
    rows = await metadata_of(client, topics)
    return [(row[1], row[-1]) for row in rows if errors.for_code(row[0]) in _SAID]


def _standing(partitions: list[Untyped], needed: int) -> TopicState:
    starved = (
        number
        for _, number, leader, replicas, in_step, *_ in partitions
        if leader < 0 or len(in_step) < min(needed, len(replicas))
    )
    return TopicState(len(partitions), frozenset(starved))


def _lacks(partition: Untyped) -> bool:
    _, _, _, replicas, in_step, *_ = partition
    return len(in_step) < len(replicas)


async def _needed(client: Untyped, topics: list[str]) -> Mapping[str, int]:
    """Return the minimum in-sync replicas of each of *topics*. Leave out those whose configuration is not readable."""
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
