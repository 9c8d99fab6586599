"""Records that nobody can work on, kept as they came, with the reason beside them."""

from __future__ import annotations

from schemas.headers import CORRELATION_ID, EVENT_PREFIX, TRACEPARENT, Headers
from schemas.letters import Reason
from schemas.records import HeaderList, Outgoing, Record
from schemas.topics import DEAD_LETTERS


def letter_record(record: Record, reason: Reason, *, tenant: str, trace: HeaderList) -> Outgoing:
    """A dead letter: value and headers as they came, credentials removed, what is missing for finding it added."""
    headers = _findable(Headers(reason.headers(record)), record, trace)
    return Outgoing(DEAD_LETTERS.name, f"{tenant}|{record.position}".encode(), record.value, headers)


def _findable(headers: Headers, record: Record, trace: HeaderList) -> HeaderList:
    added: HeaderList = ()
    if headers.text(TRACEPARENT) is None:
        added += trace
    if headers.text(f"{EVENT_PREFIX}id") is None:
        added += ((f"{EVENT_PREFIX}id", record.position.encode()),)
    if headers.binary(CORRELATION_ID) is None:
        added += ((CORRELATION_ID, record.position.encode()),)
    absent = {name for name, _ in added}
    return tuple(pair for pair in headers.raw if pair[0] not in absent) + added
