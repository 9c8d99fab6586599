"""How records and transactions ended, told from what was written: the words of the counters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from schemas import topics
from schemas.headers import ERROR_CODE, Headers
from schemas.records import Outgoing
from schemas.results import Result
from schemas.topics import tenant_of
from streams.tracker import Step
from streams.transport.errors import AccessDeniedError, FencedError, RecordRefusedError, UnknownTopicError
from streams.work import Outputs

_SUCCEEDED, _HEAD = b'"status":"succeeded"', 1_024  # it stands before anything that may be long
_TIERS = frozenset(tier.name for _, tier in topics.RETRY_TIERS)


def outcome_of(error: Exception) -> str:
    """Of a transaction that raised."""
    match error:
        case FencedError():
            return "fenced"
        case TimeoutError():
            return "timeout"
        case RecordRefusedError() | UnknownTopicError() | AccessDeniedError():
            return "refused"
        case _:
            return "failed"


def fault_of(outputs: Outputs) -> str | None:
    """The error's code, if the record did not end well: refused, failed, tried again, or buried."""
    for output in outputs:
        if output.topic == topics.DEAD_LETTERS.name or output.topic in _TIERS:
            return Headers(output.headers).text(ERROR_CODE) or "internal"
        if tenant_of(output.topic) and _SUCCEEDED not in (output.value or b"")[:_HEAD]:
            return _code(output.value or b"")
    return None


def _code(result: bytes) -> str:
    found = Result.model_validate_json(result)
    return found.error.code if found.error else found.status


def counted(steps: Iterable[Step]) -> Counter[str]:
    """The records of a transaction by their outcome."""
    entries = [entry.outputs for step in steps for entry in step.batch if entry.move is None]
    several = Counter([outcome(outputs) for outputs in entries if len(outputs) != 1])
    for topic, count in Counter([outputs[0].topic for outputs in entries if len(outputs) == 1]).items():
        several[outcome([Outgoing(topic, None, None)])] += count  # it is told from the topics alone
    return several


def outcome(outputs: Outputs) -> str:
    """Of one record. A dead letter says more than the answer beside it; what the door is told says nothing."""
    said = "joined"
    for output in outputs:
        topic = output.topic
        if topic == topics.DEAD_LETTERS.name:
            return "buried"
        if topic in _TIERS:
            said = "retried"
        elif topic != topics.INBOX.name and said == "joined":
            said = "answered" if tenant_of(topic) else "forwarded"
    return said
