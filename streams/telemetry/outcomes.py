"""Derive how records and transactions ended from the records written. The counters use these outcomes as labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from schemas import topics
from schemas.headers import ERROR_CODE, Headers
from schemas.records import ProducerRecord
from schemas.results import Result
from schemas.topics import tenant_of
from streams.handler import Outputs
from streams.offsets.tracker import CommitStep
from streams.transport.errors import (
    AccessDeniedError,
    FencedError,
    RecordRefusedError,
    UnknownTopicError,
)
from streams.transport.open_transactions import OpenTransactionError

_SUCCEEDED, _HEAD = b'"status":"succeeded"', 1_024  # the status comes before any field that may be long
_TIERS = frozenset(tier.name for _, tier in topics.RETRY_TIERS)


def outcome_of(error: Exception) -> str:
    """Return the outcome of a transaction that raised *error*."""
    match error:
        case OpenTransactionError():
            return "deferred"
        case FencedError():
            return "fenced"
        case TimeoutError():
            return "timeout"
        case RecordRefusedError() | UnknownTopicError() | AccessDeniedError():
            return "refused"
        case _:
            return "failed"


def fault_of(outputs: Outputs) -> str | None:
    """Return the error's code if the record was refused, failed, retried or dead-lettered; else None."""
    for output in outputs:
        if output.topic == topics.DEAD_LETTERS.name or output.topic in _TIERS:
            return Headers(output.headers).text(ERROR_CODE) or "internal"
        if tenant_of(output.topic) and _SUCCEEDED not in (output.value or b"")[:_HEAD]:
            return _code(output.value or b"")
    return None


def _code(result: bytes) -> str:
    found = Result.model_validate_json(result)
    return found.error.code if found.error else found.status


def counted(steps: Iterable[CommitStep]) -> Counter[str]:
    """Return the number of a transaction's records by outcome."""
    entries = [entry.outputs for step in steps for entry in step.batch if entry.move is None]
    several = Counter([outcome(outputs) for outputs in entries if len(outputs) != 1])
    for topic, count in Counter([outputs[0].topic for outputs in entries if len(outputs) == 1]).items():
        several[outcome([ProducerRecord(topic, None, None)])] += count  # the outcome depends on the topics alone
    return several


def outcome(outputs: Outputs) -> str:
    """Return the outcome of one record. A dead letter outranks the result beside it; admission events do not count."""
    said = "joined"
    for output in outputs:
        topic = output.topic
        if topic == topics.DEAD_LETTERS.name:
            return "dead_lettered"
        if topic in _TIERS:
            said = "retried"
        elif topic != topics.ADMISSIONS.name and said == "joined":
            said = "answered" if tenant_of(topic) else "forwarded"
    return said
