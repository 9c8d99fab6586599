"""Transactions whose end has been decided and cannot be written down: what a broker says of a transactional id."""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

from streams.transport.wire import NO_TAGS, Answer, Request, array, name

DESCRIBE_TRANSACTIONS: Final = 65
ABORTING: Final = "PrepareAbort"
_OFFSETS: Final = "__consumer_offsets"
_FACTS = struct.Struct(">iqqh")  # its timeout and beginning, its producer's id and epoch


class Transaction(NamedTuple):
    """The transaction of one id."""

    code: int
    state: str
    pending: frozenset[str]
    """Topics that take part; once its end has been decided, those that have not been told."""

    @property
    def codes(self) -> frozenset[int]:
        """The only one."""
        return frozenset((self.code,))

    @property
    def harmless(self) -> bool:
        """Whether it can change nothing any more: it will be aborted, and the group's offsets know that."""
        return self.code == 0 and self.state == ABORTING and _OFFSETS not in self.pending


def describe(transactional_id: str) -> Request[Transaction]:
    """What the coordinator says of the id (KIP-664). Kafka has known this since 3.0."""
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
