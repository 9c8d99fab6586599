"""The record of a client's request on its tenant's topic."""

from __future__ import annotations

from producers.envelopes import correlated, envelope
from schemas.cloudevents import CloudEvent, time_of
from schemas.headers import REPLY_TO
from schemas.records import HeaderList, ProducerRecord
from schemas.requests import REQUEST_TYPE, Request
from schemas.topics import REQUESTS

SOURCE = "/headrace/client"
"""Default source of requests. Source and id together identify a repeated request."""


def request_record(
    tenant: str,
    request: Request,
    *,
    request_id: str,
    now_ms: int,
    source: str = SOURCE,
    reply_to: str | None = None,
    trace: HeaderList = (),
) -> ProducerRecord:
    """Build the record, keyed by the session, else by the request id. Requests of one session run in send order.

    The same request gives the same bytes of value, so that a repeated request is joined to the first.
    """
    event = CloudEvent(b"", id=request_id, source=source, type=REQUEST_TYPE, time=time_of(now_ms))
    reply: HeaderList = () if reply_to is None else ((REPLY_TO, reply_to.encode()),)
    value = request.model_dump_json(exclude_none=True, exclude_defaults=True).encode()
    key = (request.session or request_id).encode()
    return ProducerRecord(
        REQUESTS.of(tenant), key, value, envelope(event.headers(), trace, correlated(request_id) + reply)
    )
