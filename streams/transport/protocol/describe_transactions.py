"""The DescribeTransactions request. It finds transactions whose end is decided but cannot be completed."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from streams.transport.protocol.encoding import NO_TAGS, ApiRequest, ResponseReader, array, name

DESCRIBE_TRANSACTIONS: Final = 65
ABORTING: Final = "PrepareAbort"
_OFFSETS: Final = "__consumer_offsets"
_FACTS = struct.Struct(">iqqh")  # timeout, start time, producer id, producer epoch


class DescribedTransaction(NamedTuple):
    """The state of one id's transaction, as its coordinator describes it."""

    code: int
    state: str
    pending: frozenset[str]
    """Topics in the transaction. Once its end is decided: those without its end marker."""

    producer_id: int = -1

    @property
    def codes(self) -> frozenset[int]:
        """The set with the only error code."""
        return frozenset((self.code,))

    @property
    def harmless(self) -> bool:
        """True if the transaction can change nothing any more: its abort is decided, and the group's offsets know."""
        return self.code == 0 and self.state == ABORTING and _OFFSETS not in self.pending


def describe_transaction(transactional_id: str) -> ApiRequest[DescribedTransaction]:
    """Build a request for the state of the id's transaction (KIP-664). Kafka supports it since 3.0."""
    return ApiRequest(DESCRIBE_TRANSACTIONS, 0, [array([name(transactional_id)]), NO_TAGS], _described)


def _described(answer: ResponseReader) -> DescribedTransaction:
    answer.int32()
    found = DescribedTransaction(-1, "", frozenset())
    for _ in answer.items():
        code = answer.int16()
        answer.text()
        state = answer.text()
        _, _, producer_id, _ = answer.unpack(_FACTS)
        found = DescribedTransaction(code, state, frozenset(_topics(answer)), producer_id)
        answer.tags()
    return found


def _topics(answer: ResponseReader) -> list[str]:
    topics: list[str] = []
    for _ in answer.items():
        topics.append(answer.text())
        for _ in answer.items():
            answer.int32()
        answer.tags()
    return topics
