"""Records that nobody can work on, kept as they came, with the reason beside them."""

from __future__ import annotations

from schemas.headers import CORRELATION_ID, EVENT_PREFIX, SPRING_CORRELATION_ID, TRACEPARENT, Headers
from schemas.letters import Reason
from schemas.records import HeaderList, Outgoing, Record
from schemas.topics import DEAD_LETTERS, LETTER_LIMIT

HEADERS_LIMIT = 160 * 1024
"""Bytes of headers that are kept: more than any record of ours has, a caller's correlation id twice included."""

_ADDED = 8 * 1024  # the reason and what makes the letter findable

CUT = "headrace-cut"
"""Header of a letter that is not all of its record: what is missing, in bytes."""


def letter_record(record: Record, reason: Reason, *, tenant: str, trace: HeaderList) -> Outgoing:
    """A dead letter: value and headers as they came, credentials removed, what is missing for finding it added.

    Compression lets a client send more than any topic of ours takes: what is over is cut, or it would wedge its shard.
    """
    kept, cut = _cut(record)
    headers = _findable(Headers(reason.headers(kept)), kept, trace)
    return Outgoing(DEAD_LETTERS.name, f"{tenant}|{record.position}".encode(), kept.value, headers + cut)


def _cut(record: Record) -> tuple[Record, HeaderList]:
    """The record without what a letter cannot hold, and the header that says so."""
    value, headers, missing = record.value, record.headers, list[str]()
    weight = sum(len(name.encode(errors="replace")) + len(text or b"") for name, text in headers)
    if weight > HEADERS_LIMIT:
        missing.append(f"headers {weight}")
        headers, weight = (), 0
    room = LETTER_LIMIT - _ADDED - 2 * weight  # twice: the correlation id may be said again
    if value is not None and len(value) > room:
        missing.append(f"value {len(value) - room}")
        value = value[:room]
    cut: HeaderList = ((CUT, ", ".join(missing).encode()),) if missing else ()
    return record._replace(value=value, headers=headers), cut


def _findable(headers: Headers, record: Record, trace: HeaderList) -> HeaderList:
    added: HeaderList = ()
    if headers.text(TRACEPARENT) is None:
        added += trace
    if headers.text(f"{EVENT_PREFIX}id") is None:
        added += ((f"{EVENT_PREFIX}id", record.position.encode()),)
    if headers.binary(CORRELATION_ID) is None:
        added += ((CORRELATION_ID, headers.binary(SPRING_CORRELATION_ID) or record.position.encode()),)
    absent = {name for name, _ in added}
    return tuple(pair for pair in headers.raw if pair[0] not in absent) + added
