"""The headers that every record of ours bears: CloudEvents in binary mode, the trace, the caller's correlation id."""

from __future__ import annotations

from schemas.cloudevents import attributes, time_of
from schemas.headers import CORRELATION_ID
from schemas.hops import Origin
from schemas.records import HeaderList


def envelope(event: HeaderList, trace: HeaderList, correlation: HeaderList = ()) -> HeaderList:
    """Attributes, trace and correlation, in this order."""
    return event + trace + correlation


def event_of(kind: str, *, tenant: str, identifier: str, subject: str, now_ms: int) -> HeaderList:
    """Attributes of an event that the platform sends about *subject* on behalf of *tenant*."""
    source = f"/headrace/{tenant}"
    return attributes(id=identifier, kind=kind, source=source, time=time_of(now_ms), subject=subject)


def correlated(name: str) -> HeaderList:
    """The correlation id of what nobody else has given one."""
    return ((CORRELATION_ID, name.encode()),)


def correlation_of(origin: Origin, request_id: str) -> HeaderList:
    """The caller's correlation id byte for byte, in the header it came in; else the request's id."""
    value = origin.correlation_id if origin.correlation_id is not None else request_id.encode()
    ours, name = (CORRELATION_ID, value), origin.correlation_header
    return (ours,) if name == CORRELATION_ID else (ours, (name, value))
