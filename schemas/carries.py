"""Relocation: append a record again to its own partition, so that later records need not wait for it."""

from __future__ import annotations

import re

from schemas.headers import CARRIED, Headers
from schemas.records import Outgoing, Record
from schemas.topics import tenant_of

_PLACE = re.compile("([0-9]{1,19})/([0-9]{1,15})")


def carried(record: Record) -> Outgoing:
    """Return a copy of *record* for the end of its partition. A header names its first offset and timestamp.

    The copy keeps key, value and timestamp. A repeated relocation keeps the first position, so the copy never grows.
    """
    first = first_of(record)
    mark = (CARRIED, f"{first.offset}/{first.timestamp}".encode())
    return Outgoing(
        record.topic, record.key, record.value, (*first.headers, mark), record.partition, timestamp=first.timestamp
    )


def first_of(record: Record) -> Record:
    """Return the record at its first position, without the relocation header.

    On a tenant's topic a client wrote the header. There it has no meaning and is kept.
    """
    if tenant_of(record.topic) is not None:
        return record
    place = _PLACE.fullmatch(Headers(record.headers).text(CARRIED) or "")
    if place is None:
        return record
    headers = tuple(pair for pair in record.headers if pair[0] != CARRIED)
    return record._replace(offset=int(place[1]), timestamp=int(place[2]), headers=headers)
