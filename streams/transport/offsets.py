"""Committed offsets with their offset maps, read with an OffsetFetch request of our own.

aiokafka's own call drops the metadata and ignores the response's error code. It turns "not coordinator" and "loading"
into "nothing committed", after which every record would run again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from schemas.records import Partition
from streams.offsets.offset_map import Committed, decode
from streams.transport import aiokafka_private
from streams.transport.aiokafka_types import (
    Client,
    ConnectionGroup,
    CoordinationType,
    OffsetFetchRequest,
    Untyped,
    errors,
)
from streams.transport.broker_retry import until_answered
from streams.transport.connection import Connection
from streams.transport.errors import AccessDeniedError

_FORBIDDEN: int = errors.TopicAuthorizationFailedError.errno
_CLOSE_S = 2.0


class Offsets:
    """The reader of a group's committed offsets, over a connection that no JoinGroup can block."""

    def __init__(self, connection: Connection, group: str, *, name: str, request_timeout_ms: int) -> None:
        self._connection = connection
        self._group = group
        self._client: Untyped = Client(**connection.options(), client_id=name, request_timeout_ms=request_timeout_ms)
        aiokafka_private.leave_nothing_open(self._client)

    async def start(self, deadline_s: float) -> None:
        """Connect. Raises KafkaUnreachableError after *deadline_s* seconds."""
        await self._connection.establish(self._client.bootstrap, deadline_s)

    async def close(self) -> None:
        """Close the connections."""
        await aiokafka_private.close_client(self._client, _CLOSE_S)

    async def read(self, partitions: Collection[Partition]) -> dict[Partition, Committed]:
        """Return committed offsets and maps. Leave out partitions without one. Retries until the caller's deadline.

        AccessDeniedError names the forbidden topics; the offsets of the others are then not returned either.
        """
        found = await fetch_committed(self._client, self._group, partitions) if partitions else {}
        return {partition: Committed(offset, decode(offset, text)) for partition, (offset, text) in found.items()}

    async def note(self, partition: Partition) -> str:
        """Return the raw metadata of a partition's committed offset, or an empty text. Retries like ``read``."""
        _, text = (await fetch_committed(self._client, self._group, [partition])).get(partition, (0, None))
        return text or ""


async def fetch_committed(
    client: Untyped, group: str, partitions: Collection[Partition] | None
) -> dict[Partition, tuple[int, str | None]]:
    """Return offset and metadata of each partition with a committed offset. None for *partitions* means all.

    Looks up the coordinator for each attempt. Retries transient errors without end: the caller sets the deadline.
    """
    return await until_answered(client, lambda: _fetch(client, group, partitions))


async def _fetch(
    client: Untyped, group: str, partitions: Collection[Partition] | None
) -> dict[Partition, tuple[int, str | None]]:
    node = await client.coordinator_lookup(CoordinationType.GROUP, group)
    request = OffsetFetchRequest(group, None if partitions is None else _by_topic(partitions))
    answer = await client.send(node, request, group=ConnectionGroup.COORDINATION)
    _check(answer.error_code, answer.topics)
    return {
        Partition(topic, number): (offset, text)
        for topic, rows in answer.topics
        for number, offset, text, _ in rows
        if offset >= 0
    }


def _by_topic(partitions: Collection[Partition]) -> list[tuple[str, list[int]]]:
    topics: dict[str, list[int]] = defaultdict(list)
    for partition in partitions:
        topics[partition.topic].append(partition.number)
    return list(topics.items())


def _check(code: int, topics: list[tuple[str, list[Untyped]]]) -> None:
    codes = {code, *(row[-1] for _, rows in topics for row in rows)} - {0, _FORBIDDEN}
    for each in codes:
        kind: type[Exception] = errors.for_code(each)
        raise kind
    forbidden = {topic for topic, rows in topics if any(row[-1] == _FORBIDDEN for row in rows)}
    if forbidden:
        raise AccessDeniedError(f"an ACL forbids {', '.join(sorted(forbidden))}", topics=forbidden)
