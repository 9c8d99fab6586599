"""The DescribeTransactions request. It finds transactions whose end is decided but cannot be completed."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from streams.transport.wire import NO_TAGS, Answer, Request, array, name

DESCRIBE_TRANSACTIONS: Final = 65
ABORTING: Final = "PrepareAbort"
_OFFSETS: Final = "__consumer_offsets"
_FACTS = struct.Struct(">iqqh")  # timeout, start time, producer id, producer epoch


class Transaction(NamedTuple):
    """The state of one id's transaction, as its coordinator describes it."""

    code: int
    state: str
    pending: frozenset[str]
    """Topics in the transaction. Once its end is decided: those without its end marker."""

    @property
    def codes(self) -> frozenset[int]:
        """The set with the only error code."""
        return frozenset((self.code,))

    @property
    def harmless(self) -> bool:
        """True if the transaction can change nothing any more: its abort is decided, and the group's offsets know."""
        return self.code == 0 and self.state == ABORTING and _OFFSETS not in self.pending


def describe(transactional_id: str) -> Request[Transaction]:
    """Build a request for the state of the id's transaction (KIP-664). Kafka supports it since 3.0."""
    return Request(DESCRIBE_TRANSACTIONS, 0, [array([name(transactional_id)]), NO_TAGS], _described)


def _described(answer: Answer) -> Transaction:
    answer.int32()
    found = Transaction(-1, "", frozenset())
    for _ in answer.items():
        code = answer.int16()
        answer.text()
        state = answer.text()
        answer.unpack(_FACTS)
        found = Transaction(code, state, frozenset(_topics(answer)))
        answer.tags()
    return found


def _topics(answer: Answer) -> list[str]:
    topics: list[str] = []
    for _ in answer.items():
        topics.append(answer.text())
        for _ in answer.items():
            answer.int32()
        answer.tags()
    return topics
