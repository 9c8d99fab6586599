"""The messages of the wire format: payload, headers, key, content type, and examples for clients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from schemas import topics
from schemas.admissions import AdmissionEvent
from schemas.cloudevents import JSON, STRUCTURED
from schemas.control import Control, RunControl
from schemas.events import Event
from schemas.headers import CONTENT_TYPE, CORRELATION_ID, SEAL
from schemas.requests import Request
from schemas.results import Result
from schemas.stage_records import Authorized, Screened
from schemas.tenants import RegistryRecord
from schemas.topics import Topic
from schemas.usage import UsageRecord
from streams.contracts import examples
from streams.contracts.headers import (
    CAUSED,
    CORRELATION,
    EVENT,
    FOUND,
    MISSING,
    MOVED,
    REASON,
    REPLY,
    RETRY,
    SEALED,
    STRUCTURED_EVENT,
    TRACE,
    WRITTEN,
    headers,
)
from streams.contracts.payloads import TYPES, Json, ref

BINDING = "0.5.0"
"""The version of AsyncAPI's Kafka binding."""

BYTES = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Message:
    """One kind of record on a topic."""

    name: str
    title: str
    key: str
    """The description of the record's key."""

    headers: Json
    payload: Json
    content_type: str = JSON
    examples: tuple[Json, ...] = ()
    notes: str = ""

    def document(self) -> Json:
        """Return the message as an AsyncAPI Message Object."""
        fields = {
            "name": self.name,
            "title": self.title,
            "description": self.notes,
            "contentType": self.content_type,
            "headers": self.headers,
            "payload": self.payload,
            "correlationId": {"location": f"$message.header#/{CORRELATION_ID}"},
            "bindings": {"kafka": {"key": {"type": "string", "description": self.key}, "bindingVersion": BINDING}},
            "examples": list(self.examples),
        }
        return {name: value for name, value in fields.items() if value}


def _asked(model: type[BaseModel], name: str, title: str, key: str, shown: tuple[Json, ...]) -> tuple[Message, ...]:
    """Return a client's message in CloudEvents' binary and structured modes. A value without headers is binary."""
    kind = TYPES[model]
    binary = headers(EVENT, TRACE, CORRELATION, REPLY, kind=kind)
    structured = headers(STRUCTURED_EVENT, TRACE, CORRELATION, REPLY, required=[CONTENT_TYPE])
    return (
        Message(name, title, key, binary, ref(model), examples=shown, notes="All headers are optional."),
        Message(
            f"{name}Structured",
            f"{title}, structured mode",
            key,
            structured,
            _structured(model, kind),
            STRUCTURED,
            notes="The value holds both attributes and data. The content type selects this mode.",
        ),
    )


def _structured(model: type[BaseModel], kind: str) -> Json:
    """Return the schema of an object with the attributes and the data."""
    attributes = {name.removeprefix("ce_"): schema for name, schema in EVENT.items() if name.startswith("ce_")}
    data = {"data": ref(model), "data_base64": {"type": "string", "contentEncoding": "base64"}}
    return {
        "type": "object",
        "properties": attributes | {"type": {"const": kind}} | data,
        "required": ["specversion"],
        "oneOf": [{"required": [name]} for name in data],
    }


def _told(model: type[BaseModel], name: str, title: str, key: str, shown: tuple[Json, ...]) -> Message:
    """Return a message that the platform writes to a tenant."""
    described = headers(EVENT, TRACE, CORRELATION, CAUSED, kind=TYPES[model], required=[*WRITTEN, CORRELATION_ID])
    return Message(name, title, key, described, ref(model), examples=shown)


def _hop(model: type[BaseModel], name: str, title: str, extra: Mapping[str, Json] | None = None) -> Message:
    """Return a message that one stage writes to another."""
    groups = (EVENT, TRACE, CORRELATION, SEALED, MOVED, CAUSED, dict(extra or {}))
    required = [*WRITTEN, CORRELATION_ID, SEAL]
    return Message(name, title, _LANE, headers(*groups, kind=TYPES[model], required=required), ref(model))


_LANE = "`tenant|lane`: records that must run in order share a partition."
_SESSION = "The session, whose requests run one after another. Otherwise the request id, or no key."

REQUEST = _asked(Request, "request", "A request to an agent", _SESSION, examples.REQUESTS)
CONTROL = _asked(Control, "control", "A control message for a run", "The request id.", examples.CONTROLS)
RESULT = _told(Result, "result", "The result of a request", "The key of the request's record.", examples.RESULTS)
EVENT_OF_RUN = _told(Event, "event", "Progress of a run", "The run id.", examples.EVENTS)
AUTHORIZED = _hop(Authorized, "authorized", "An authorized request")
SCREENED = _hop(Screened, "screened", "A request that passed the guards")
RETRY_OF_RUN = _hop(Screened, "retry", "A request that waits for a retry", RETRY)
RUN_CONTROL = Message(
    "runControl",
    "A control message for an admitted run",
    "The run id.",
    headers(
        EVENT, TRACE, CORRELATION, SEALED, CAUSED, kind=TYPES[RunControl], required=[*WRITTEN, CORRELATION_ID, SEAL]
    ),
    ref(RunControl),
    notes="Every agent worker reads all of these records from its start on.",
)
ADMISSION_EVENT = Message(
    "admissionEvent",
    "A record of the admission log",
    "`tenant|identity`, or `tenant|serving|topic:partition`.",
    headers(EVENT, TRACE, CORRELATION, CAUSED, kind=TYPES[AdmissionEvent], required=[*WRITTEN, CORRELATION_ID]),
    ref(AdmissionEvent),
    notes="A record without a value deletes its key.",
)
DEAD_LETTER = Message(
    "deadLetter",
    "A record that cannot be processed",
    "`tenant|topic:partition:offset`.",
    headers(FOUND, REASON, MISSING, CAUSED, required=[*FOUND, *REASON]),
    {"description": "The original value, which often is not JSON."},
    BYTES,
    notes="Original headers and value without signature and seal, plus headers with the reason.",
)
USAGE = Message(
    "usage",
    "The usage of a finished run",
    "The tenant's id.",
    headers(EVENT, TRACE, CORRELATION, CAUSED, kind=TYPES[UsageRecord], required=[*WRITTEN, CORRELATION_ID]),
    ref(UsageRecord),
    examples=examples.USAGE,
    notes="One for each run that called a model or a tool, in the transaction of its result. `ce_id` is the run id.",
)
REGISTRY = Message(
    "registryRecord",
    "A tenant, the layout, the seal keys or the seal secret",
    "The tenant's id, or a reserved name that no tenant can have.",
    headers(EVENT, TRACE, CORRELATION, kind=TYPES[RegistryRecord], required=[*WRITTEN, CORRELATION_ID]),
    ref(RegistryRecord),
    notes="A record without a value deletes its key.",
)

MESSAGES: dict[Topic[Any], tuple[Message, ...]] = {
    topics.REQUESTS: REQUEST,
    topics.RESULTS: (RESULT,),
    topics.EVENTS: (EVENT_OF_RUN,),
    topics.CONTROL: CONTROL,
    topics.AUTHORIZED: (AUTHORIZED,),
    topics.SCREENED: (SCREENED,),
    topics.ADMISSIONS: (ADMISSION_EVENT,),
    topics.RUN_CONTROL: (RUN_CONTROL,),
    **{tier: (RETRY_OF_RUN,) for _, tier in topics.RETRY_TIERS},
    topics.DEAD_LETTERS: (DEAD_LETTER,),
    topics.USAGE: (USAGE,),
    topics.SHARDS: (),
    topics.TENANTS: (REGISTRY,),
}
"""The messages of each topic."""


def messages() -> Json:
    """Return every message once, by name."""
    return {message.name: message.document() for found in MESSAGES.values() for message in found}
