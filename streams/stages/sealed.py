"""Sealed records: opens the hop that the previous stage sealed, and rejects a record that cannot be opened."""

from __future__ import annotations

from typing import Any, TypeVar

import structlog
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from schemas.errors import HeadraceError, InternalError, UnsupportedVersionError
from schemas.headers import SEAL, Headers
from schemas.hops import Origin
from schemas.inbox import Identity, Ticket
from schemas.records import Record
from schemas.seals import Seals
from schemas.topics import PLATFORM, RESULTS, Topic
from streams.outbox import Case, Outbox, case_of
from streams.tracing import Trace, below, place_in
from streams.work import Outputs

_PLATFORM = frozenset(topic.name for topic in PLATFORM)

log = structlog.get_logger()

Hop = TypeVar("Hop", bound=BaseModel)


def open_hop(topic: Topic[Hop], record: Record, seals: Seals) -> Hop:
    """Return the hop in a record. Raise UnauthenticatedError if the platform's seal is missing or wrong.

    Raise UnsupportedVersionError if the seal is valid but another version of the platform wrote the content.
    """
    seals.verify(record.topic, record.key, record.value, Headers(record.headers).text(SEAL))
    if topic.payload is None:
        raise InternalError(detail=f"nothing is read from {topic.name}")
    try:
        return topic.payload.model_validate_json(record.value or b"")
    except ValidationError as error:
        message = "the record was written by another version of the platform"
        raise UnsupportedVersionError(message) from error


def reject(outbox: Outbox, record: Record, error: HeadraceError, trace: Trace) -> Outputs:
    """Dead-letter a record that cannot be opened.

    If the seal is valid, also answer the caller and close the request. Otherwise admission would count it open forever.
    """
    log.warning("record_not_opened", code=error.code, position=record.position, trace_id=trace.trace_id)
    case = _remnant(record) if isinstance(error, UnsupportedVersionError) else None
    if case is None:
        return [outbox.bury(record, error, trace.headers)]
    return outbox.fail(case, error, record, trace.headers)


def unwritable(outbox: Outbox, topic: Topic[Any], record: Record, error: HeadraceError) -> Outputs:
    """Replace an outcome that no topic accepts by a failed result on the tenant's own results topic."""
    parent = place_in(record.headers)
    trace = below(parent, sampled=parent is not None and parent.sampled)
    try:
        case = case_of(open_hop(topic, record, outbox.seals))
    except HeadraceError as unopened:
        return _of_own(reject(outbox, record, unopened, trace))
    return outbox.fail(case._replace(reply_to=RESULTS.of(case.tenant)), error, record, trace.headers)


def _of_own(outputs: Outputs) -> Outputs:
    """Return only the outputs to platform topics: the others could not be written."""
    return [output for output in outputs if output.topic in _PLATFORM]


def _remnant(record: Record) -> Case | None:
    """Return the case of a hop of another version if its fields are in known places, else None."""
    try:
        hop = from_json(record.value or b"")
        authorized = hop.get("authorized", hop)
        identity = _known(Identity, authorized["identity"])
        return Case(
            tenant=identity.tenant,
            request_id=identity.id,
            run_id=str(authorized["run_id"]),
            agent=str(authorized["request"]["agent"]),
            origin=_known(Origin, authorized["origin"]),
            session=None,
            reply_to=str(authorized["reply_to"]),
            ticket=_known(Ticket, authorized["ticket"]),
        )
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        log.error(  # noqa: TRY400 - the traceback would hold content
            "record_not_understood", position=record.position, error=type(error).__name__
        )
        return None


def _known(model: type[Hop], fields: dict[str, Any]) -> Hop:
    return model.model_validate({name: fields[name] for name in model.model_fields if name in fields})
