"""Relocation: append a record again to its own partition, so that later records need not wait for it."""

from __future__ import annotations

import re

from schemas.headers import INPUT, RELOCATED, Headers
from schemas.records import ProducerRecord, Record
from schemas.topics import tenant_of

_PLACE = re.compile("([0-9]{1,19})/([0-9]{1,15})")


def relocated(record: Record) -> ProducerRecord:
    """Return a copy of *record* for the end of its partition. A header names its first offset and timestamp.

    The copy keeps key, value and timestamp. A repeated relocation keeps the first position, so the copy never grows.
    """
    first = original_of(record)
    mark = (RELOCATED, f"{first.offset}/{first.timestamp}".encode())
    headers = (*(pair for pair in first.headers if pair[0] != INPUT), mark)
    return ProducerRecord(record.topic, record.key, record.value, headers, record.partition, timestamp=first.timestamp)


def original_of(record: Record) -> Record:
    """Return the record at its first position, without the relocation header.

    On a tenant's topic a client wrote the header. There it has no meaning and is kept.
    """
    if tenant_of(record.topic) is not None:
        return record
    place = _PLACE.fullmatch(Headers(record.headers).text(RELOCATED) or "")
    if place is None:
        return record
    headers = tuple(pair for pair in record.headers if pair[0] != RELOCATED)
    return record._replace(offset=int(place[1]), timestamp=int(place[2]), headers=headers)
