"""Records as clients send them, for the tests of this folder."""

from __future__ import annotations

from schemas.envelopes import Envelope, Sizes, open_envelope
from schemas.records import HeaderList, Record

SIZES = Sizes(value=1_000, headers=300, header_count=8)
TOPIC = "tenants.acme.requests"
BODY = b'{"agent": "echo", "input": "hello"}'


def record(value: bytes | None = BODY, headers: HeaderList = (), key: bytes | None = None) -> Record:
    """Offset 7 of partition 2 of a tenant's requests."""
    return Record(TOPIC, 2, 7, 1_700_000_000_000, key, value, headers)


def opened(value: bytes | None = BODY, headers: HeaderList = (), key: bytes | None = None) -> Envelope:
    """The same, opened."""
    return open_envelope(record(value, headers, key), SIZES)
