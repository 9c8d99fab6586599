"""The record of a result, and the public form of errors."""

from __future__ import annotations

from producers.envelopes import correlation_of, envelope, event_of
from schemas.errors import HeadraceError, seconds_of
from schemas.records import HeaderList, ProducerRecord
from schemas.results import RESULT_TYPE, ErrorInfo, Result
from schemas.stage_records import Origin


def result_record(
    result: Result, *, tenant: str, origin: Origin, session: str | None, topic: str, trace: HeaderList, now_ms: int
) -> ProducerRecord:
    """Build the record of a result. Its key is the client's own, else the session, else the request id."""
    event = event_of(RESULT_TYPE, tenant=tenant, identifier=result.run_id, subject=result.request_id, now_ms=now_ms)
    key = origin.key if origin.key is not None else (session or result.request_id).encode()
    headers = envelope(event, trace, correlation_of(origin, result.request_id))
    return ProducerRecord(topic, key, result.model_dump_json(exclude_none=True).encode(), headers)


def error_of(error: HeadraceError) -> ErrorInfo:
    """Return the public form of an error. Agents and tools raise errors too, so drop text that JSON cannot hold."""
    message = error.public_message.encode(errors="replace").decode()
    return ErrorInfo(
        code=error.code, message=message, retryable=error.retryable, retry_after=seconds_of(error.retry_after)
    )
