"""Dead letters: records that cannot be processed, kept as they came, with the reason in their headers."""

from __future__ import annotations

import re
from collections.abc import Mapping

from schemas.dead_letters import DeadLetterReason
from schemas.envelopes import derived_id
from schemas.headers import CORRELATION_ID, EVENT_PREFIX, OWN_PREFIX, SPRING_CORRELATION_ID, TRACEPARENT, Headers
from schemas.records import HeaderList, ProducerRecord, Record
from schemas.relocation import original_of
from schemas.topics import DEAD_LETTER_LIMIT, DEAD_LETTERS

HEADERS_LIMIT = 160 * 1024
"""Most bytes of headers that are kept. Platform records have fewer, even with the correlation id twice."""

_ADDED = 8 * 1024  # bytes for the reason and for the headers that identify the dead letter

CUT = "headrace-cut"
"""Header of a dead letter that was cut: the missing bytes of headers and value."""

_PART = re.compile(r"(headers|value) ([0-9]{1,18})")


def dead_letter_record(record: Record, reason: DeadLetterReason, *, tenant: str, trace: HeaderList) -> ProducerRecord:
    """Build a dead letter: value and headers as they came, without credentials, with identifying headers added.

    Compression lets a client send more than any platform topic accepts. The excess is cut, or it would block its shard.
    A relocated record is dead-lettered under its first position, because logs and clients know that position.
    """
    record = original_of(record)
    kept, cut = _cut(record)
    headers = _findable(Headers(reason.headers(kept)), kept, trace)
    return ProducerRecord(DEAD_LETTERS.name, f"{tenant}|{record.position}".encode(), kept.value, headers + cut)


def shortened(dead_letter: ProducerRecord, room: int) -> ProducerRecord:
    """Return the dead letter in at most *room* bytes if possible, for a topic with a smaller limit than provisioned.

    Cut the value. If that is not enough, drop the record's own headers too. The platform's headers stay.
    """
    missing = {part: int(size) for part, size in _PART.findall(Headers(dead_letter.headers).text(CUT) or "")}
    value, headers = dead_letter.value, tuple(pair for pair in dead_letter.headers if pair[0] != CUT)
    over = dead_letter.size + _weight((_said({"headers": 10**12, "value": 10**12}),)) - room
    if over > len(value or b""):
        kept = tuple(pair for pair in headers if _is_ours(pair[0]))
        missing["headers"] = missing.get("headers", 0) + _weight(headers) - _weight(kept)
        over, headers = over - missing["headers"], kept
    if value is not None and over > 0:
        missing["value"] = missing.get("value", 0) + min(over, len(value))
        value = value[: max(0, len(value) - over)]
    return dead_letter._replace(value=value, headers=(*headers, _said(missing)))


def _is_ours(name: str) -> bool:
    return name.startswith(OWN_PREFIX) or name in {f"{EVENT_PREFIX}id", TRACEPARENT, CORRELATION_ID}


def _said(missing: Mapping[str, int]) -> tuple[str, bytes]:
    return CUT, ", ".join(f"{part} {size}" for part, size in missing.items() if size).encode()


def _weight(headers: HeaderList) -> int:
    return sum(len(name.encode(errors="replace")) + len(text or b"") for name, text in headers)


def _cut(record: Record) -> tuple[Record, HeaderList]:
    """Cut the record to the limits of a dead letter. Return it with the header that states the missing bytes."""
    value, headers = record.value, record.headers
    missing = {part: size for part, size in record.missing._asdict().items() if size}
    weight = _weight(headers)
    if weight > HEADERS_LIMIT:
        missing["headers"] = missing.get("headers", 0) + weight
        headers, weight = (), 0
    room = DEAD_LETTER_LIMIT - _ADDED - 2 * weight  # twice, because the correlation id may be repeated
    if value is not None and len(value) > room:
        missing["value"] = missing.get("value", 0) + len(value) - room
        value = value[:room]
    return record._replace(value=value, headers=headers), (_said(missing),) if missing else ()


def _findable(headers: Headers, record: Record, trace: HeaderList) -> HeaderList:
    added: HeaderList = ()
    if headers.text(TRACEPARENT) is None:
        added += trace
    if headers.text(f"{EVENT_PREFIX}id") is None:
        added += ((f"{EVENT_PREFIX}id", record.position.encode()),)
    if headers.binary(CORRELATION_ID) is None:
        added += ((CORRELATION_ID, headers.binary(SPRING_CORRELATION_ID) or derived_id(record).encode()),)
    absent = {name for name, _ in added}
    return tuple(pair for pair in headers.raw if pair[0] not in absent) + added
