"""Lookup of topics that are missing or forbidden, and of partitions without a leader."""

from __future__ import annotations

from collections.abc import Collection

from schemas.records import Partition
from streams.transport.aiokafka_types import Untyped, errors
from streams.transport.broker_retry import answered_within, metadata_of
from streams.transport.errors import BrokerError, TransportError, UnknownTopicError, own

_MISSING = (errors.UnknownTopicOrPartitionError, errors.InvalidTopicError)


async def missing_topics(
    client: Untyped, topics: Collection[str], deadline_s: float
) -> dict[Partition | str, TransportError]:
    """Return the error of each topic that cannot be read; if only a leader is missing, the key is the partition.

    Creates no topic. Raises KafkaUnreachableError after *deadline_s* seconds.
    """
    async with answered_within(deadline_s, "a broker"):
        rows = await metadata_of(client, topics)
    absent: dict[Partition | str, TransportError] = {}
    for code, topic, _, partitions in rows:
        if code:
            absent[topic] = _error(topic, errors.for_code(code))
        absent |= {
            Partition(topic, number): BrokerError(f"{topic}:{number} has no leader")
            for _, number, leader, *_ in partitions
            if leader < 0
        }
    return absent


def _error(topic: str, kind: type[Exception]) -> TransportError:
    return UnknownTopicError(topic) if kind in _MISSING else own(kind(topic))
