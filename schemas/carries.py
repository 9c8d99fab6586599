"""A record that is appended again to its own partition, so that what came after it does not have to wait for it."""

from __future__ import annotations

import re

from schemas.headers import CARRIED, Headers
from schemas.records import Outgoing, Record
from schemas.topics import tenant_of

_PLACE = re.compile("([0-9]{1,19})/([0-9]{1,15})")


def carried(record: Record) -> Outgoing:
    """*record* for the end of its partition: as it was, its time too, and with a header that says where it first stood.

    Carried again it grows no further: the header names the first place only.
    """
    first = first_of(record)
    mark = (CARRIED, f"{first.offset}/{first.timestamp}".encode())
    return Outgoing(
        record.topic, record.key, record.value, (*first.headers, mark), record.partition, timestamp=first.timestamp
    )


def first_of(record: Record) -> Record:
    """The record where it first stood, without the header that says so.

    On a tenant's topic the header is what its client wrote: it says nothing, and stays.
    """
    if tenant_of(record.topic) is not None:
        return record
    place = _PLACE.fullmatch(Headers(record.headers).text(CARRIED) or "")
    if place is None:
        return record
    headers = tuple(pair for pair in record.headers if pair[0] != CARRIED)
    return record._replace(offset=int(place[1]), timestamp=int(place[2]), headers=headers)
