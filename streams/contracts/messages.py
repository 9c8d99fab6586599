"""The messages of the wire: payload, headers, key, content type, and examples where a client writes or reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from schemas import topics
from schemas.cloudevents import JSON, STRUCTURED
from schemas.control import Control, RunControl
from schemas.events import Event
from schemas.headers import CONTENT_TYPE, CORRELATION_ID, SEAL
from schemas.hops import Authorized, Screened
from schemas.inbox import InboxEntry
from schemas.requests import Request
from schemas.results import Result
from schemas.tenants import RegistryRecord
from schemas.topics import Topic
from streams.contracts import examples
from streams.contracts.headers import (
    ASKING,
    CORRELATION,
    EVENT,
    FOUND,
    MISSING,
    MOVED,
    REASON,
    RETRY,
    SEALED,
    STRUCTURED_EVENT,
    TRACE,
    WRITTEN,
    headers,
)
from streams.contracts.payloads import TYPES, Json, ref

BINDING = "0.5.0"
"""Version of AsyncAPI's Kafka binding."""

BYTES = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Message:
    """One kind of record."""

    name: str
    title: str
    key: str
    """What the record's key is."""

    headers: Json
    payload: Json
    content_type: str = JSON
    examples: tuple[Json, ...] = ()
    notes: str = ""

    def document(self) -> Json:
        """A Message Object."""
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
    """What a client writes, in CloudEvents' binary and structured modes. A value without any header is binary."""
    kind = TYPES[model]
    binary = headers(EVENT, TRACE, CORRELATION, ASKING, kind=kind)
    structured = headers(STRUCTURED_EVENT, TRACE, CORRELATION, ASKING, required=[CONTENT_TYPE])
    return (
        Message(name, title, key, binary, ref(model), examples=shown, notes="No header has to be there."),
        Message(
            f"{name}Structured",
            f"{title}, structured mode",
            key,
            structured,
            _structured(model, kind),
            STRUCTURED,
            notes="The attributes stand beside the data; the content type tells.",
        ),
    )


def _structured(model: type[BaseModel], kind: str) -> Json:
    """The attributes and the data in one object."""
    attributes = {name.removeprefix("ce_"): schema for name, schema in EVENT.items() if name.startswith("ce_")}
    data = {"data": ref(model), "data_base64": {"type": "string", "contentEncoding": "base64"}}
    return {
        "type": "object",
        "properties": attributes | {"type": {"const": kind}} | data,
        "required": ["specversion"],
        "oneOf": [{"required": [name]} for name in data],
    }


def _told(model: type[BaseModel], name: str, title: str, key: str, shown: tuple[Json, ...]) -> Message:
    """What the platform writes to a tenant."""
    described = headers(EVENT, TRACE, CORRELATION, kind=TYPES[model], required=[*WRITTEN, CORRELATION_ID])
    return Message(name, title, key, described, ref(model), examples=shown)


def _hop(model: type[BaseModel], name: str, title: str, extra: Mapping[str, Json] | None = None) -> Message:
    """What one stage writes to another."""
    groups = (EVENT, TRACE, CORRELATION, SEALED, MOVED, dict(extra or {}))
    required = [*WRITTEN, CORRELATION_ID, SEAL]
    return Message(name, title, _LANE, headers(*groups, kind=TYPES[model], required=required), ref(model))


_LANE = "`tenant|lane`: what must run in order meets in one partition."
_SESSION = "The session, whose requests run one after another; or the request's id, or none."

REQUEST = _asked(Request, "request", "A request to an agent", _SESSION, examples.REQUESTS)
CONTROL = _asked(Control, "control", "A word about a run", "The request's id.", examples.CONTROLS)
RESULT = _told(Result, "result", "How a request ended", "The request's own key.", examples.RESULTS)
EVENT_OF_RUN = _told(Event, "event", "Progress of a run", "The run's id.", examples.EVENTS)
AUTHORIZED = _hop(Authorized, "authorized", "A request whose caller may make it")
SCREENED = _hop(Screened, "screened", "A request that the guards let through")
RETRY_OF_RUN = _hop(Screened, "retry", "A request that is tried again later", RETRY)
RUN_CONTROL = Message(
    "runControl",
    "A word about a run beyond the door",
    "The run's id.",
    headers(EVENT, TRACE, CORRELATION, SEALED, kind=TYPES[RunControl], required=[*WRITTEN, CORRELATION_ID, SEAL]),
    ref(RunControl),
    notes="Every agent worker reads all of them, from when it starts.",
)
INBOX = Message(
    "inboxEntry",
    "What the tenant's door remembers",
    "`tenant|identity`, or `tenant|serving|topic:partition`.",
    headers(EVENT, TRACE, CORRELATION, kind=TYPES[InboxEntry], required=[*WRITTEN, CORRELATION_ID]),
    ref(InboxEntry),
    notes="A record without a value forgets its key.",
)
DEAD_LETTER = Message(
    "deadLetter",
    "A record that nobody can work on",
    "`tenant|topic:partition:offset`.",
    headers(FOUND, REASON, MISSING, required=[*FOUND, *REASON]),
    {"description": "The value as it came, which often is no JSON."},
    BYTES,
    notes="Headers and value as they came, signature and seal removed, the reason beside them.",
)
REGISTRY = Message(
    "registryRecord",
    "A tenant, or the layout",
    "The tenant's id, or a name that no tenant can have.",
    headers(EVENT, TRACE, CORRELATION, kind=TYPES[RegistryRecord], required=[*WRITTEN, CORRELATION_ID]),
    ref(RegistryRecord),
    notes="A record without a value removes its key.",
)

MESSAGES: dict[Topic[Any], tuple[Message, ...]] = {
    topics.REQUESTS: REQUEST,
    topics.RESULTS: (RESULT,),
    topics.EVENTS: (EVENT_OF_RUN,),
    topics.CONTROL: CONTROL,
    topics.AUTHORIZED: (AUTHORIZED,),
    topics.SCREENED: (SCREENED,),
    topics.INBOX: (INBOX,),
    topics.RUN_CONTROL: (RUN_CONTROL,),
    **{tier: (RETRY_OF_RUN,) for _, tier in topics.RETRY_TIERS},
    topics.DEAD_LETTERS: (DEAD_LETTER,),
    topics.SHARDS: (),
    topics.TENANTS: (REGISTRY,),
}
"""What travels on each topic."""


def messages() -> Json:
    """All of them by name, once each."""
    return {message.name: message.document() for found in MESSAGES.values() for message in found}
