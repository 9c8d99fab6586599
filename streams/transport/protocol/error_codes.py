"""The meaning of broker error codes for a transaction (``org.apache.kafka.common.protocol.Errors``)."""

from __future__ import annotations

from typing import Final

from streams.transport.aiokafka_types import errors
from streams.transport.errors import BrokerError, FencedError, RecordRefusedError, TransportError, own
from streams.transport.protocol.record_batches import RecordBatch

UNKNOWN_TOPIC: Final = 3
NOT_COORDINATOR: Final = frozenset({15, 16})
"""The coordinator is another node, or not available yet."""

DUPLICATE: Final = 46
"""The log already holds the batch, but the broker no longer knows its offset."""

NOT_ATTEMPTED: Final = 55
"""Another partition of the same request was refused."""

FENCED: Final = frozenset({47, 90})
"""The producer's epoch has ended."""

_NETWORK, _LOADING, _TIMED_OUT, _CONCURRENT = 13, 14, 7, 51

PASSING: Final = frozenset({UNKNOWN_TOPIC, _TIMED_OUT, _NETWORK, _LOADING, _CONCURRENT, *NOT_COORDINATOR})
"""Transient error codes of a coordinator. Causes: a topic not yet known to every broker; a coordinator that is
unavailable, moves or loads; a previous transaction that is still completing."""

LEADERLESS: Final = frozenset({UNKNOWN_TOPIC, 5, 6, 56, 74, 75})
"""Error codes of a batch that end once the partition has a leader and the client knows it. Causes: no leader yet,
another leader, a failed disk, another leader epoch."""

UNWRITTEN: Final = LEADERLESS | PASSING | {19, 20, 41}
"""Transient error codes of a batch. 19 and 20 mean too few in-sync replicas, before and after the append."""

TOPIC_FORBIDDEN: Final = 29
_TOO_LARGE: Final = frozenset({10, 18, 32})
"""Refusals because of a record's size or timestamp, not because of its content."""

_INVALID_RECORD, _NO_REASON = 87, -1


def pass_by(codes: frozenset[int]) -> bool:
    """Return True if there are errors and all of them are transient."""
    wrong = codes - {0, NOT_ATTEMPTED}
    return bool(wrong) and wrong <= PASSING


def fault(code: int, about: object = "") -> TransportError:
    """Return the TransportError for *code*."""
    kind = errors.for_code(code)
    if code in FENCED:
        return FencedError(f"error {code}: the producer's epoch has ended")
    if kind is errors.UnknownError:
        return BrokerError(f"error {code} {about}".strip())
    return own(kind(about) if about else kind())


def refusal(code: int, batch: RecordBatch) -> TransportError:
    """Return the error for a refused batch: RecordRefusedError if the batch is the cause. A broker that gives no reason
    (code -1) counts as refusing the record.
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
