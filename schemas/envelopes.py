"""The envelope of a client's record: request id, source, broker timestamp and reply topic."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property

from pydantic import ValidationError

from schemas import cloudevents
from schemas.cloudevents import CloudEvent
from schemas.control import Control
from schemas.errors import MalformedError, TooLargeError, UnsupportedVersionError
from schemas.headers import CORRELATION_ID, REPLY_TO, SPRING_CORRELATION_ID, Headers
from schemas.records import COMPLETE, Record
from schemas.requests import REQUEST_TYPE, Request
from schemas.stage_records import Origin

DEFAULT_SOURCE = "/"
KEY_LIMIT = 128
_UNREAD = (
    "the record, or the batch that holds it, unpacks to more than is read: send smaller records or smaller batches"
)


@dataclass(frozen=True, slots=True)
class Sizes:
    """The size limits of an edge record: bytes of value, bytes of headers, and number of headers."""

    value: int
    headers: int
    header_count: int


@dataclass(frozen=True)
class Envelope:
    """A client's record on a tenant's topic, before its payload is parsed."""

    record: Record
    headers: Headers
    event: CloudEvent
    request_id: str
    """The client's id of the request, or an id derived from the record's position and time."""

    source: str
    body: str
    """Digest of the event's data. Data of a structured event are first serialised again without whitespace."""

    @cached_property
    def origin(self) -> Origin:
        """Return the parts of the record that a result needs. Cached, because results and hops share the value."""
        record = self.record
        name = CORRELATION_ID if self.headers.binary(CORRELATION_ID) is not None else SPRING_CORRELATION_ID
        found = self.headers.binary(name)
        return Origin(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            timestamp_ms=record.timestamp,
            key=record.key,
            correlation_id=found,
            correlation_header=CORRELATION_ID if found is None else name,
        )

    @property
    def reply_to(self) -> str | None:
        """Return the reply topic that the client requests, or None."""
        return self.headers.text(REPLY_TO)

    def request(self) -> Request:
        """Parse the request. Raise MalformedError for invalid data, or if key and payload name different sessions."""
        try:
            request = Request.model_validate_json(self.event.data)
        except ValidationError as error:
            raise MalformedError(_first_fault(error), detail=str(error.error_count())) from error
        if request.session is not None and self._keyed_session() not in (None, request.session):
            message = "the session is not the record's key"
            raise MalformedError(message)
        return request

    def control(self) -> Control:
        """Parse the control message. Raise MalformedError for invalid data."""
        try:
            return Control.model_validate_json(self.event.data)
        except ValidationError as error:
            raise MalformedError(_first_fault(error), detail=str(error.error_count())) from error

    def session(self, request: Request) -> str | None:
        """Return the payload's session, else the record's key unless it is the request id: Kafka users order by key."""
        return request.session or self._keyed_session()

    def _keyed_session(self) -> str | None:
        key = self.record.key
        return None if not key or key == self.request_id.encode() else _session_of(key)


def _session_of(key: bytes) -> str:
    """Return the key itself if it can be a session, else its digest."""
    try:
        text = key.decode()
    except UnicodeDecodeError:
        text = key.hex()
    fits = text.isprintable() and "|" not in text and len(text) <= KEY_LIMIT
    return text if fits else hashlib.sha256(key).hexdigest()


def open_envelope(record: Record, sizes: Sizes, kind: str = REQUEST_TYPE) -> Envelope:
    """Read the envelope of an event of *kind*, and leave its payload unparsed.

    Raise MalformedError, TooLargeError or UnsupportedVersionError.
    """
    headers = Headers(record.headers)
    headers.check(count=sizes.header_count, size=sizes.headers)
    for part, bytes_, limit in (("value", record.value, sizes.value), ("key", record.key, sizes.headers)):
        if len(bytes_ or b"") > limit:
            message = f"more than {limit} bytes of {part}"
            raise TooLargeError(message)
    if record.missing != COMPLETE:
        raise TooLargeError(_UNREAD)
    event = cloudevents.read(record.value, headers)
    if event.type not in (None, kind):
        message = f"events of type {event.type[:64]} are not taken here"
        raise UnsupportedVersionError(message)
    return Envelope(
        record=record,
        headers=headers,
        event=event,
        request_id=event.id or derived_id(record),
        source=event.source or DEFAULT_SOURCE,
        body=_digest(event.data),
    )


def salvage(record: Record) -> Envelope | None:
    """Return the envelope of an oversized or damaged record: under its id, or its position if it has none.

    Return None for an id that is not readable or that is there twice: an answer could be taken for another request's.
    """
    headers = Headers(record.headers)
    count = sum(name == "ce_id" for name, _ in record.headers)
    identifier = headers.text("ce_id") if count else derived_id(record)
    if count > 1 or identifier is None or (count and not cloudevents.is_name(identifier, cloudevents.ID_LIMIT)):
        return None
    source = headers.text("ce_source") or ""
    return Envelope(
        record=record,
        headers=headers,
        event=CloudEvent(data=b"", id=headers.text("ce_id")),
        request_id=identifier,
        source=source if cloudevents.is_name(source, cloudevents.SOURCE_LIMIT) else DEFAULT_SOURCE,
        body=_digest(record.value or b""),
    )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def derived_id(record: Record) -> str:
    """Return the id of a request without one: its position and the broker's append time.

    A topic that is deleted and made again has the same positions. Its records have other times, also in a mirrored
    cluster, where the topic's own id would be another one for the same record.
    """
    return f"{record.position}:{record.timestamp}"


def _first_fault(error: ValidationError) -> str:
    """Return field and reason of the first fault, without the input: a message must not contain a prompt."""
    fault = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(step)[:32] for step in fault["loc"][:4])
    return f"{place or 'the request'}: {fault['msg'].removeprefix('Value error, ')[:200]}"
