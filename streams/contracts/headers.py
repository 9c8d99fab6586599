"""The headers of each kind of record, as JSON Schemas."""

from __future__ import annotations

import re
from collections.abc import Iterable

from producers.dead_letters import CUT
from schemas.cloudevents import ID_LIMIT, JSON, SOURCE_LIMIT, SPEC_VERSION, STRUCTURED
from schemas.dead_letters import MESSAGE_LIMIT
from schemas.headers import (
    CONTENT_TYPE,
    CORRELATION_ID,
    INPUT,
    RELOCATED,
    REPLY_TO,
    SEAL,
    SIGNATURE,
    SPRING_CORRELATION_ID,
    TRACEPARENT,
    TRACESTATE,
)
from streams.contracts.payloads import Json


def _text(description: str, **keywords: object) -> Json:
    return {"type": "string", "description": description, **keywords}


def _milliseconds(description: str) -> Json:
    return _text(f"{description}, in milliseconds since the epoch.", pattern="^[0-9]+$")


EVENT: dict[str, Json] = {
    "ce_specversion": _text("Version of CloudEvents, in binary mode.", const=SPEC_VERSION),
    "ce_id": _text(
        "The request id. With `ce_source` and the caller's identity it is the idempotency key: executed once, "
        "answered once. Printable characters only. The default is the record's `topic:partition:offset`.",
        minLength=1,
        maxLength=ID_LIMIT,
    ),
    "ce_source": _text("The writer of the record.", minLength=1, maxLength=SOURCE_LIMIT),
    "ce_time": _text("The time at which the record was written.", format="date-time"),
    "ce_subject": _text("The subject of the record. In a result it is the request id. It never identifies a caller."),
    CONTENT_TYPE: _text("The content type of the value.", pattern=f"^{JSON}(;|$)"),
}
STRUCTURED_EVENT: dict[str, Json] = {
    CONTENT_TYPE: _text("The content type of CloudEvents in structured mode.", pattern=f"^{re.escape(STRUCTURED)}(;|$)")
}
TRACE: dict[str, Json] = {
    TRACEPARENT: _text("W3C `traceparent`.", pattern="^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"),
    TRACESTATE: _text("W3C `tracestate`."),
}
CORRELATION: dict[str, Json] = {
    CORRELATION_ID: _text("Any bytes. Every record about the request repeats them byte for byte."),
    SPRING_CORRELATION_ID: _text(
        "The correlation id of Spring Kafka, 16 raw bytes. Results have it under this name and as `correlation_id`."
    ),
}
REPLY: dict[str, Json] = {
    REPLY_TO: _text(
        "The topic for the result: the tenant's results topic (the default), "
        "or a topic that the tenant's record lists. Any other topic is refused."
    ),
    SIGNATURE: _text("The caller's detached JWS, if the tenant's identity mode is `signed`."),
}
SEALED: dict[str, Json] = {
    SEAL: _text("The platform's HMAC-SHA256 over topic, key and value.", pattern=r"^v1\.[^.]+\.[A-Za-z0-9_-]{43}$")
}
CAUSED: dict[str, Json] = {
    INPUT: _text(
        "The input record of this output, as `topic:partition:offset`. Written by stages. After a fault of a broker it "
        "tells whether the output was committed. Readers ignore it, and a client's value is dropped.",
        pattern="^[a-zA-Z0-9._-]+:[0-9]+:-?[0-9]+$",
    )
}
MOVED: dict[str, Json] = {
    RELOCATED: _text(
        "Only on a record that was appended again because of a long run. Its first position, as `offset/timestamp`.",
        pattern="^[0-9]+/[0-9]+$",
    )
}
REASON: dict[str, Json] = {
    "headrace-error-code": _text("The stable code of the error."),
    "headrace-error-class": _text("The name of the error's class."),
    "headrace-error-message": _text(f"The public message, at most {MESSAGE_LIMIT} bytes, without a stack trace."),
    "headrace-stage": _text("The stage in which the run failed."),
    "headrace-worker": _text("The worker on which the run failed."),
    "headrace-attempt": _text("The number of attempts at the run.", pattern="^[1-9][0-9]*$"),
    "headrace-first-failure-at": _milliseconds("The time of the first failure"),
    "headrace-source": _text(
        "The position of the original record: `topic/partition/offset/timestamp`.",
        pattern="^[^/]+/[0-9]+/[0-9]+/-?[0-9]+$",
    ),
}
DUE: dict[str, Json] = {
    "headrace-due-at": _milliseconds("The time of the next attempt, by the clock of the failing worker"),
    "headrace-retry-in": _text(
        "The wait before the next attempt, in milliseconds from the broker's timestamp on this record.",
        pattern="^[0-9]+$",
    ),
}
RETRY = DUE | {
    name: REASON[name]
    for name in (
        "headrace-attempt",
        "headrace-error-code",
        "headrace-error-class",
        "headrace-stage",
        "headrace-worker",
    )
}
FOUND: dict[str, Json] = {
    "ce_id": _text("The original id, or by default the position of the record."),
    TRACEPARENT: _text("The original trace, or by default the trace of the dead-lettering."),
    CORRELATION_ID: _text("The original id, or by default the position of the record."),
}
"""The headers that identify a dead letter."""

MISSING: dict[str, Json] = {
    CUT: _text("Only if the record was larger than the dead-letter topic accepts. The missing bytes.")
}

WRITTEN = ("ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "ce_subject", CONTENT_TYPE, TRACEPARENT)
"""The headers of every record that the platform writes itself."""


def headers(*groups: dict[str, Json], kind: str | None = None, required: Iterable[str] = ()) -> Json:
    """Return the schema of an object with these headers; other headers are allowed. *kind* is the ``ce_type``."""
    properties: Json = {name: schema for group in groups for name, schema in group.items()}
    if kind is not None:
        properties["ce_type"] = _text("The kind and version of the payload.", const=kind)
    return {"type": "object", "properties": properties, "required": list(required)}
