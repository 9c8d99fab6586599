"""The DescribeCluster request. It counts the registered brokers, including those that are away (KIP-1073)."""

from __future__ import annotations

from typing import Final, NamedTuple

from streams.transport.protocol.encoding import NO_TAGS, ApiRequest, ResponseReader

DESCRIBE_CLUSTER: Final = 60
_VERSION: Final = 2
_NO: Final = b"\x00"
_YES: Final = b"\x01"
_OF_BROKERS: Final = b"\x01"


class DescribedCluster(NamedTuple):
    """The brokers of a cluster."""

    code: int
    brokers: frozenset[int]
    """Ids of the registered brokers."""

    fenced: frozenset[int]
    """Ids of those that send no heartbeats: they are stopped, or cannot reach the controller."""


def describe_cluster() -> ApiRequest[DescribedCluster]:
    """Build a request for all registered brokers. Kafka supports it since 4.0."""
    return ApiRequest(DESCRIBE_CLUSTER, _VERSION, [_NO, _OF_BROKERS, _YES, NO_TAGS], _described)


def _described(answer: ResponseReader) -> DescribedCluster:
    answer.int32()
    code = answer.int16()
    answer.text()
    answer.flag()
    answer.text()
    answer.int32()
    found = dict(_broker(answer) for _ in answer.items())
    return DescribedCluster(code, frozenset(found), frozenset(node for node, fenced in found.items() if fenced))


def _broker(answer: ResponseReader) -> tuple[int, bool]:
    """Return a broker's id, and True if it is fenced."""
    node = answer.int32()
    answer.text()
    answer.int32()
    answer.text()
    fenced = answer.flag()
    answer.tags()
    return node, fenced
