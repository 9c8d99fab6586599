"""Records that nobody can work on, kept as they came, with the reason beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from schemas.carries import first_of
from schemas.headers import CORRELATION_ID, EVENT_PREFIX, OWN_PREFIX, SPRING_CORRELATION_ID, TRACEPARENT, Headers
from schemas.letters import Reason
from schemas.records import HeaderList, Outgoing, Record
from schemas.topics import DEAD_LETTERS, LETTER_LIMIT

HEADERS_LIMIT = 160 * 1024
"""Bytes of headers that are kept: more than any record of ours has, a caller's correlation id twice included."""

_ADDED = 8 * 1024  # the reason and what makes the letter findable

CUT = "headrace-cut"
"""Header of a letter that is not all of its record: what is missing, in bytes."""

_PART = re.compile(r"(headers|value) ([0-9]{1,18})")


def letter_record(record: Record, reason: Reason, *, tenant: str, trace: HeaderList) -> Outgoing:
    """A dead letter: value and headers as they came, credentials removed, what is missing for finding it added.

    Compression lets a client send more than any topic of ours takes: what is over is cut, or it would wedge its shard.
    A record that was carried is buried as it first stood: that is the position others have heard of.
    """
    record = first_of(record)
    kept, cut = _cut(record)
    headers = _findable(Headers(reason.headers(kept)), kept, trace)
    return Outgoing(DEAD_LETTERS.name, f"{tenant}|{record.position}".encode(), kept.value, headers + cut)


def shortened(letter: Outgoing, room: int) -> Outgoing:
    """The letter in at most *room* bytes, if that can be: its value cut, then the record's own headers left out.

    For a topic that takes less than ours is made to. What the platform says of the record stays.
    """
    missing = {part: int(size) for part, size in _PART.findall(Headers(letter.headers).text(CUT) or "")}
    value, headers = letter.value, tuple(pair for pair in letter.headers if pair[0] != CUT)
    over = letter.size + _weight((_said({"headers": 10**12, "value": 10**12}),)) - room
    if over > len(value or b""):
        kept = tuple(pair for pair in headers if _is_ours(pair[0]))
        missing["headers"] = missing.get("headers", 0) + _weight(headers) - _weight(kept)
        over, headers = over - missing["headers"], kept
    if value is not None and over > 0:
        missing["value"] = missing.get("value", 0) + min(over, len(value))
        value = value[: max(0, len(value) - over)]
    return letter._replace(value=value, headers=(*headers, _said(missing)))


def _is_ours(name: str) -> bool:
    return name.startswith(OWN_PREFIX) or name in {f"{EVENT_PREFIX}id", TRACEPARENT, CORRELATION_ID}


def _said(missing: Mapping[str, int]) -> tuple[str, bytes]:
    return CUT, ", ".join(f"{part} {size}" for part, size in missing.items() if size).encode()


def _weight(headers: HeaderList) -> int:
    return sum(len(name.encode(errors="replace")) + len(text or b"") for name, text in headers)


def _cut(record: Record) -> tuple[Record, HeaderList]:
    """The record without what a letter cannot hold, and the header that says so."""
    value, headers, missing = record.value, record.headers, dict[str, int]()
    weight = _weight(headers)
    if weight > HEADERS_LIMIT:
        missing["headers"] = weight
        headers, weight = (), 0
    room = LETTER_LIMIT - _ADDED - 2 * weight  # twice: the correlation id may be said again
    if value is not None and len(value) > room:
        missing["value"] = len(value) - room
        value = value[:room]
    return record._replace(value=value, headers=headers), (_said(missing),) if missing else ()


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
