"""What the error codes of brokers mean to a transaction (``org.apache.kafka.common.protocol.Errors``)."""

from __future__ import annotations

from typing import Final

from streams.transport.errors import BrokerError, FencedError, RecordRefusedError, TransportError, own
from streams.transport.library import errors
from streams.transport.packing import Batch

UNKNOWN_TOPIC: Final = 3
NOT_COORDINATOR: Final = frozenset({15, 16})
"""It is another node, or nobody yet."""

DUPLICATE: Final = 46
"""The batch is there already, and the broker has forgotten where."""

NOT_ATTEMPTED: Final = 55
"""Something else of the same request was refused."""

FENCED: Final = frozenset({47, 90})
"""The epoch has ended."""

_NETWORK, _LOADING, _TIMED_OUT, _CONCURRENT = 13, 14, 7, 51

PASSING: Final = frozenset({UNKNOWN_TOPIC, _TIMED_OUT, _NETWORK, _LOADING, _CONCURRENT, *NOT_COORDINATOR})
"""Answers of a coordinator that pass: a topic that not every broker has heard of; a coordinator that is away, moves or
loads; a transaction whose predecessor is still being written down."""

LEADERLESS: Final = frozenset({UNKNOWN_TOPIC, 5, 6, 56, 74, 75})
"""Answers to a batch that pass once the partition has a leader and we know it: too early, somebody else, a broken disk,
another epoch of the leader."""

UNWRITTEN: Final = LEADERLESS | PASSING | {19, 20, 41}
"""Answers to a batch that pass; 19 and 20 say that too few copies are in step, before and after it was written."""

TOPIC_FORBIDDEN: Final = 29
_TOO_LARGE: Final = frozenset({10, 18, 32})
"""Refused for what can be seen of a record from outside: it is too large, or its time is not taken."""

_INVALID_RECORD, _NO_REASON = 87, -1


def pass_by(codes: frozenset[int]) -> bool:
    """Whether all that went wrong may go well in a moment."""
    wrong = codes - {0, NOT_ATTEMPTED}
    return bool(wrong) and wrong <= PASSING


def fault(code: int, about: object = "") -> TransportError:
    """The error of this room for *code*."""
    kind = errors.for_code(code)
    if code in FENCED:
        return FencedError(f"error {code}: the producer's epoch has ended")
    if kind is errors.UnknownError:
        return BrokerError(f"error {code} {about}".strip())
    return own(kind(about) if about else kind())


def refusal(code: int, batch: Batch) -> TransportError:
    """What a refused batch says: whose fault it was, if it was the batch's.

    A broker that gives no reason counts as one that refuses the record.
    """
    if code == TOPIC_FORBIDDEN:
        return RecordRefusedError(repr(errors.for_code(code)(batch.place.topic)), topic=batch.place.topic)
    if code not in _TOO_LARGE and code not in {_INVALID_RECORD, _NO_REASON}:
        return fault(code, batch.place)
    refused = RecordRefusedError(str(fault(code)), topic=batch.place.topic, records=batch.records)
    if batch.records == 1 and batch.last is not None:
        refused.size = batch.last.size
        refused.record = None if code in _TOO_LARGE else batch.last
    return refused
