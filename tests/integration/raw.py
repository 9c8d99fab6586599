"""Batches as no well-behaved client would write them, and the way to hand them to a broker."""

from __future__ import annotations

import struct
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c, encode_varint

from schemas.records import Partition

_HEAD = struct.Struct(">qiibIhiqqqhii")
_AFTER_LENGTH, _ATTRIBUTES = 12, 21
_NOT_LEADER = 6

ALL, READ = 2, 3
"""Operations of an access list."""
_TOPIC, _LITERAL, _DENY, _PREFIXED, _ALLOW = 2, 3, 2, 4, 3

RESOURCES = {"topics": _TOPIC, "groups": 3, "the cluster": 4, "transactional ids": 5}
OPERATIONS = {
    "read": READ,
    "write": 4,
    "create": 5,
    "describe": 8,
    "describe configs": 10,
}
"""What an access list is about, as our own pages call it. Source: Kafka's ``ResourceType`` and ``AclOperation``."""


class Raw(NamedTuple):
    """A record, byte for byte."""

    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[tuple[bytes, bytes | None]] = ()
    delta: int | None = None
    """Its offset within the batch; its place in it if None."""


def varint(number: int) -> bytes:
    """As Kafka writes it."""
    out = bytearray()
    encode_varint(number, out.append)
    return bytes(out)


def _sized(data: bytes | None) -> bytes:
    return varint(-1) if data is None else varint(len(data)) + data


def record(raw: Raw, delta: int) -> bytes:
    """One record of a batch."""
    headers = b"".join(_sized(key) + _sized(value) for key, value in raw.headers)
    at = delta if raw.delta is None else raw.delta
    body = b"\0" + varint(0) + varint(at) + _sized(raw.key) + _sized(raw.value) + varint(len(raw.headers)) + headers
    return varint(len(body)) + body


def batch(
    records: Sequence[Raw], *, timestamp: int = 1_700_000_000_000, attributes: int = 0, body: bytes = b""
) -> bytes:
    """A batch of *records*, or with a *body* that claims to be as many."""
    inside = body or b"".join(record(raw, number) for number, raw in enumerate(records))
    last = len(records) - 1
    head = _HEAD.pack(0, 0, -1, 2, 0, attributes, last, timestamp, timestamp, -1, -1, -1, len(records))
    return sealed(bytearray(head + inside))


def sealed(data: bytearray) -> bytes:
    """With the length and the checksum that it should have."""
    struct.pack_into(">i", data, 8, len(data) - _AFTER_LENGTH)
    struct.pack_into(">I", data, 17, calc_crc32c(bytes(data[_ATTRIBUTES:])))
    return bytes(data)


class RawClient:
    """Writes bytes, and access lists."""

    def __init__(self, client: Any) -> None:  # noqa: ANN401 - aiokafka ships no types
        self._client = client

    async def write(self, setup: Partition, data: bytes) -> int:
        """The error code of the broker's answer; 0 if it took *data*."""
        self._client.add_topic(setup.topic)
        while True:
            await self._client.force_metadata_update()
            node = self._client.cluster.leader_for_partition(TopicPartition(*setup))
            request = ProduceRequest(None, -1, 5_000, [(setup.topic, [(setup.number, data)])])
            answer = await self._client.send(node, request)
            code: int = answer.topics[0][1][0][1]
            if code != _NOT_LEADER:  # the topic may be a moment old
                return code

    async def forbid(self, topic: str, operation: int) -> None:
        """Deny everybody *operation* on *topic*."""
        answer = await self._ask(CreateAclsRequest(_TOPIC, topic, _LITERAL, "User:*", "*", operation, _DENY))
        assert [code for code, _ in answer.creation_responses] == [0]

    async def grant(self, principal: str, resource: str, prefix: str, operation: str) -> None:
        """Allow *principal* an operation on all that begins with *prefix*, by the names of RESOURCES and OPERATIONS.
        The cluster has no name, and no prefix.
        """
        pattern = (prefix, _PREFIXED) if prefix else ("kafka-cluster", _LITERAL)
        request = CreateAclsRequest(RESOURCES[resource], *pattern, principal, "*", OPERATIONS[operation], _ALLOW)
        answer = await self._ask(request)
        assert [code for code, _ in answer.creation_responses] == [0]

    async def allow(self, topic: str, operation: int) -> None:
        """Take it back."""
        answer = await self._ask(DeleteAclsRequest(_TOPIC, topic, _LITERAL, "User:*", "*", operation, _DENY))
        assert [row[0] for row in answer.filter_responses] == [0]

    async def _ask(self, request: Any) -> Any:  # noqa: ANN401 - aiokafka ships no types
        return await self._client.send(self._client.get_random_node(), request)


@asynccontextmanager
async def raw_client(bootstrap: str) -> AsyncGenerator[RawClient]:
    """A client that asks no questions."""
    client: Any = AIOKafkaClient(bootstrap_servers=bootstrap)
    await client.bootstrap()
    try:
        yield RawClient(client)
    finally:
        await client.close()
