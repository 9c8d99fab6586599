"""A client's request, as a record of its tenant's topic."""

from __future__ import annotations

from producers.envelopes import correlated, envelope
from schemas.cloudevents import CloudEvent, time_of
from schemas.headers import REPLY_TO
from schemas.records import HeaderList, Outgoing
from schemas.requests import REQUEST_TYPE, Request
from schemas.topics import REQUESTS

SOURCE = "/headrace/client"
"""Of requests that name no other; with the id it is what a repeated request is known by."""


def request_record(
    tenant: str,
    request: Request,
    *,
    request_id: str,
    now_ms: int,
    source: str = SOURCE,
    reply_to: str | None = None,
    trace: HeaderList = (),
) -> Outgoing:
    """The request under its session, else its id: what shares a session runs in the order it was sent.

    The same request gives the same bytes, so that sending it again is joined to the first.
    """
    event = CloudEvent(b"", id=request_id, source=source, type=REQUEST_TYPE, time=time_of(now_ms))
    reply: HeaderList = () if reply_to is None else ((REPLY_TO, reply_to.encode()),)
    value = request.model_dump_json(exclude_none=True, exclude_defaults=True).encode()
    key = (request.session or request_id).encode()
    return Outgoing(REQUESTS.of(tenant), key, value, envelope(event.headers(), trace, correlated(request_id) + reply))
