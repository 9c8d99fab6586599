"""The headers that every record of ours bears: CloudEvents in binary mode, the trace, the caller's correlation id."""

from __future__ import annotations

from schemas.cloudevents import CloudEvent, time_of
from schemas.headers import CORRELATION_ID
from schemas.hops import Origin
from schemas.records import HeaderList


def envelope(event: CloudEvent, trace: HeaderList, correlation: HeaderList = ()) -> HeaderList:
    """Attributes, trace and correlation, in this order."""
    return event.headers() + trace + correlation


def event_of(kind: str, *, tenant: str, identifier: str, subject: str, now_ms: int) -> CloudEvent:
    """Attributes of an event that the platform sends about *subject* on behalf of *tenant*."""
    source = f"/headrace/{tenant}"
    return CloudEvent(b"", id=identifier, source=source, type=kind, subject=subject, time=time_of(now_ms))


def correlated(name: str) -> HeaderList:
    """The correlation id of what nobody else has given one."""
    return ((CORRELATION_ID, name.encode()),)


def correlation_of(origin: Origin, request_id: str) -> HeaderList:
    """The caller's correlation id byte for byte, in the header it came in; else the request's id."""
    value = origin.correlation_id if origin.correlation_id is not None else request_id.encode()
    names = dict.fromkeys((CORRELATION_ID, origin.correlation_header))
    return tuple((name, value) for name in names)
