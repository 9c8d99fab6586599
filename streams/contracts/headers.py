"""What stands in the headers of each kind of record, as JSON Schemas."""

from __future__ import annotations

import re
from collections.abc import Iterable

from producers.letters import CUT
from schemas.cloudevents import ID_LIMIT, JSON, SOURCE_LIMIT, SPEC_VERSION, STRUCTURED
from schemas.headers import (
    CARRIED,
    CONTENT_TYPE,
    CORRELATION_ID,
    REPLY_TO,
    SEAL,
    SIGNATURE,
    SPRING_CORRELATION_ID,
    TRACEPARENT,
    TRACESTATE,
)
from schemas.letters import MESSAGE_LIMIT
from streams.contracts.payloads import Json


def _text(description: str, **keywords: object) -> Json:
    return {"type": "string", "description": description, **keywords}


def _milliseconds(description: str) -> Json:
    return _text(f"{description}, in milliseconds since the epoch.", pattern="^[0-9]+$")


EVENT: dict[str, Json] = {
    "ce_specversion": _text("CloudEvents, binary mode.", const=SPEC_VERSION),
    "ce_id": _text(
        "With `ce_source` and the caller's identity the idempotency key: executed once, answered once. "
        "Printable. Without one it is the record's `topic:partition:offset`.",
        minLength=1,
        maxLength=ID_LIMIT,
    ),
    "ce_source": _text("Who wrote the record.", minLength=1, maxLength=SOURCE_LIMIT),
    "ce_time": _text("When it was written.", format="date-time"),
    "ce_subject": _text("What the record is about; of a result, the id of its request. Never an identity."),
    CONTENT_TYPE: _text("Of the value.", pattern=f"^{JSON}(;|$)"),
}
STRUCTURED_EVENT: dict[str, Json] = {
    CONTENT_TYPE: _text("CloudEvents, structured mode.", pattern=f"^{re.escape(STRUCTURED)}(;|$)")
}
TRACE: dict[str, Json] = {
    TRACEPARENT: _text("W3C trace context.", pattern="^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"),
    TRACESTATE: _text("W3C trace context."),
}
CORRELATION: dict[str, Json] = {
    CORRELATION_ID: _text("Any bytes. Stands on every record about the request, byte for byte."),
    SPRING_CORRELATION_ID: _text(
        "What Spring Kafka calls it, 16 raw bytes. Answered under this name and as `correlation_id`."
    ),
}
ASKING: dict[str, Json] = {
    REPLY_TO: _text(
        "The topic of the answer: the tenant's results, which is the default, "
        "or one that the tenant's record lists. Any other is refused."
    ),
    SIGNATURE: _text("The caller's detached JWS, where the tenant's identity mode is `signed`."),
}
SEALED: dict[str, Json] = {
    SEAL: _text("The platform's own: HMAC-SHA256 over topic, key and value.", pattern=r"^v1\.[^.]+\.[A-Za-z0-9_-]{43}$")
}
MOVED: dict[str, Json] = {
    CARRIED: _text(
        "Only on a record that was appended again because its run is a long one: where it first stood, "
        "as `offset/timestamp`.",
        pattern="^[0-9]+/[0-9]+$",
    )
}
REASON: dict[str, Json] = {
    "headrace-error-code": _text("Why; a stable code."),
    "headrace-error-class": _text("The class of the error."),
    "headrace-error-message": _text(f"Safe to show, at most {MESSAGE_LIMIT} bytes, no stack trace."),
    "headrace-stage": _text("The stage that gave up."),
    "headrace-worker": _text("The worker that gave up."),
    "headrace-attempt": _text("How many times the run was tried.", pattern="^[1-9][0-9]*$"),
    "headrace-first-failure-at": _milliseconds("When it failed first"),
    "headrace-source": _text(
        "Where the record stood: `topic/partition/offset/timestamp`.", pattern="^[^/]+/[0-9]+/[0-9]+/-?[0-9]+$"
    ),
}
DUE: dict[str, Json] = {
    "headrace-due-at": _milliseconds("When it is tried again, by the clock of the worker that gave up"),
    "headrace-retry-in": _text(
        "How long it waits, in milliseconds from the broker's timestamp on this record.", pattern="^[0-9]+$"
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
    "ce_id": _text("As it came; without one, where the record stood."),
    TRACEPARENT: _text("As it came; without one, of the trace in which the record was buried."),
    CORRELATION_ID: _text("As it came; without one, where the record stood."),
}
"""What a dead letter is found by."""

MISSING: dict[str, Json] = {
    CUT: _text("Only where the record was larger than the topic of letters takes: what is missing, in bytes.")
}

WRITTEN = ("ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "ce_subject", CONTENT_TYPE, TRACEPARENT)
"""On every record that the platform writes itself."""


def headers(*groups: dict[str, Json], kind: str | None = None, required: Iterable[str] = ()) -> Json:
    """An object of these headers; others may stand beside them. *kind* is the ``ce_type``."""
    properties: Json = {name: schema for group in groups for name, schema in group.items()}
    if kind is not None:
        properties["ce_type"] = _text("Kind and version of the payload.", const=kind)
    return {"type": "object", "properties": properties, "required": list(required)}
