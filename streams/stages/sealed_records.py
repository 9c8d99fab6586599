"""Sealed records: opens the hop that the previous stage sealed, and rejects a record that cannot be opened."""

from __future__ import annotations

from typing import Any, TypeVar

import structlog
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from schemas.admissions import AdmissionKey, Identity
from schemas.errors import HeadraceError, InternalError, UnsupportedVersionError
from schemas.headers import SEAL, Headers
from schemas.records import Record
from schemas.seals import Seals
from schemas.stage_records import Origin
from schemas.topics import PLATFORM, RESULTS, Topic
from schemas.usage import RunUsage
from streams.handler import Outputs
from streams.stages.record_builder import RecordBuilder
from streams.stages.reply_context import ReplyContext, reply_context_of
from streams.telemetry.trace_context import Trace, below, remote_span

_PLATFORM = frozenset(topic.name for topic in PLATFORM)

log = structlog.get_logger()

StageRecord = TypeVar("StageRecord", bound=BaseModel)


def open_record(topic: Topic[StageRecord], record: Record, seals: Seals) -> StageRecord:
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


def reject(builder: RecordBuilder, record: Record, error: HeadraceError, trace: Trace) -> Outputs:
    """Dead-letter a record that cannot be opened.

    If the seal is valid, also answer the caller and close the request. Otherwise admission would count it open forever.
    """
    log.warning("record_not_opened", code=error.code, position=record.position, trace_id=trace.trace_id)
    reply_context = _remnant(record) if isinstance(error, UnsupportedVersionError) else None
    if reply_context is None:
        return [builder.dead_letter(record, error, trace.headers)]
    return builder.fail(reply_context, error, record, trace.headers)


def unwritable(
    builder: RecordBuilder, topic: Topic[Any], record: Record, error: HeadraceError, usage: RunUsage | None = None
) -> Outputs:
    """Replace an outcome that no topic accepts by a failed result on the tenant's own results topic.

    *usage* is that of the run; by default, that of its earlier attempts.
    """
    parent = remote_span(record.headers)
    trace = below(parent, sampled=parent is not None and parent.sampled)
    try:
        reply_context = reply_context_of(open_record(topic, record, builder.seals))
    except HeadraceError as unopened:
        return _of_own(reject(builder, record, unopened, trace))
    changed = reply_context._replace(reply_to=RESULTS.of(reply_context.tenant), usage=usage or reply_context.usage)
    return builder.fail(changed, error, record, trace.headers)


def _of_own(outputs: Outputs) -> Outputs:
    """Return only the outputs to platform topics: the others could not be written."""
    return [output for output in outputs if output.topic in _PLATFORM]


def _remnant(record: Record) -> ReplyContext | None:
    """Return the reply context of a stage record of another version if its fields are in known places, else None."""
    try:
        stage_record = from_json(record.value or b"")
        authorized = stage_record.get("authorized", stage_record)
        identity = _known(Identity, authorized["identity"])
        return ReplyContext(
            tenant=identity.tenant,
            request_id=identity.id,
            run_id=str(authorized["run_id"]),
            agent=str(authorized["request"]["agent"]),
            origin=_known(Origin, authorized["origin"]),
            session=None,
            reply_to=str(authorized["reply_to"]),
            admission=_known(AdmissionKey, authorized["admission"]),
            usage=_known(RunUsage, stage_record.get("usage", {})),
            issuer=identity.issuer,
        )
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        log.error(  # noqa: TRY400 - the traceback would hold content
            "record_not_understood", position=record.position, error=type(error).__name__
        )
        return None


def _known(model: type[StageRecord], fields: dict[str, Any]) -> StageRecord:
    return model.model_validate({name: fields[name] for name in model.model_fields if name in fields})
