"""Records between stages, sealed for their target topic."""

from __future__ import annotations

from typing import TYPE_CHECKING

from producers.envelopes import correlation_of, envelope, event_of
from schemas.headers import SEAL
from schemas.records import HeaderList, ProducerRecord
from schemas.stage_records import AUTHORIZED_TYPE, SCREENED_TYPE, Authorized, Screened
from schemas.topics import AUTHORIZED, SCREENED, Topic

if TYPE_CHECKING:
    from schemas.seals import Seals


def lane_key(authorized: Authorized) -> bytes:
    """Return tenant and lane as the key: records that must run in order share a partition."""
    return f"{authorized.tenant}|{authorized.admission.lane}".encode()


def authorized_record(stage_record: Authorized, seals: Seals, trace: HeaderList) -> ProducerRecord:
    """Build the sealed record that takes an authorized request to the guards."""
    return _sealed(AUTHORIZED.name, lane_key(stage_record), stage_record, stage_record, seals, trace)


def screened_record(
    stage_record: Screened,
    seals: Seals,
    trace: HeaderList,
    *,
    topic: Topic[Screened] = SCREENED,
    partition: int | None = None,
) -> ProducerRecord:
    """Build the sealed record that takes a screened request to an agent, directly or through a retry tier."""
    return _sealed(
        topic.name, lane_key(stage_record.authorized), stage_record, stage_record.authorized, seals, trace, partition
    )


def _unset(stage_record: Authorized | Screened) -> set[str] | None:
    """Return the fields that are left out: workers of an earlier build refuse fields that they do not know."""
    return None if isinstance(stage_record, Authorized) or stage_record.usage.used else {"usage"}


def _sealed(
    topic: str,
    key: bytes,
    stage_record: Authorized | Screened,
    authorized: Authorized,
    seals: Seals,
    trace: HeaderList,
    partition: int | None = None,
) -> ProducerRecord:
    value = stage_record.model_dump_json(exclude=_unset(stage_record)).encode()
    kind = AUTHORIZED_TYPE if isinstance(stage_record, Authorized) else SCREENED_TYPE
    request_id = authorized.request_id
    event = event_of(
        kind,
        tenant=authorized.tenant,
        identifier=authorized.run_id,
        subject=request_id,
        now_ms=authorized.authorized_at_ms,
    )
    headers = envelope(event, trace, correlation_of(authorized.origin, request_id))
    return ProducerRecord(topic, key, value, (*headers, (SEAL, seals.seal(topic, key, value).encode())), partition)
