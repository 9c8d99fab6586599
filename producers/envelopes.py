"""The headers of every platform record: CloudEvents in binary mode, the trace, and the caller's correlation id."""

from __future__ import annotations

from typing import TYPE_CHECKING

from schemas.cloudevents import attributes, time_of
from schemas.headers import CORRELATION_ID
from schemas.records import HeaderList

if TYPE_CHECKING:
    from schemas.stage_records import Origin


def envelope(event: HeaderList, trace: HeaderList, correlation: HeaderList = ()) -> HeaderList:
    """Join event attributes, trace and correlation headers, in this order."""
    return event + trace + correlation


def event_of(kind: str, *, tenant: str, identifier: str, subject: str, now_ms: int) -> HeaderList:
    """Return the attributes of an event that the platform sends about *subject* on behalf of *tenant*."""
    source = f"/headrace/{tenant}"
    return attributes(id=identifier, kind=kind, source=source, time=time_of(now_ms), subject=subject)


def correlated(name: str) -> HeaderList:
    """Return *name* as the correlation id of a record that no caller has correlated."""
    return ((CORRELATION_ID, name.encode()),)


def correlation_of(origin: Origin, request_id: str) -> HeaderList:
    """Return the caller's correlation id byte for byte, also in its original header; without one, the request id."""
    value = origin.correlation_id if origin.correlation_id is not None else request_id.encode()
    ours, name = (CORRELATION_ID, value), origin.correlation_header
    return (ours,) if name == CORRELATION_ID else (ours, (name, value))
