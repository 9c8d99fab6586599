"""Records of the admission log, which every stage writes."""

from __future__ import annotations

from typing import Literal

from producers.envelopes import correlated, envelope, event_of
from schemas.admissions import ADMISSION_TYPE, AdmissionEvent, AdmissionKey, cancel_key, serving_key
from schemas.records import HeaderList, Partition, ProducerRecord
from schemas.topics import ADMISSIONS, shard_of


def admission_record(
    state: Literal["open", "closed"],
    admission: AdmissionKey,
    *,
    shards: int,
    trace: HeaderList,
    now_ms: int,
    dead_lettered: bool = False,
) -> ProducerRecord:
    """Build the record of an admitted or closed request. *dead_lettered* is true if its record was dead-lettered."""
    entry = AdmissionEvent(state=state, admission=admission, dead_lettered=dead_lettered)
    return _record(entry, admission.key, subject=admission.request_id, shards=shards, trace=trace, now_ms=now_ms)


def cancelled_record(key: str, request_id: str, *, shards: int, trace: HeaderList, now_ms: int) -> ProducerRecord:
    """Build the record of a cancel that precedes the request's admission. *key* is the request's admission key."""
    return _record(
        AdmissionEvent(state="cancelled"),
        cancel_key(key),
        subject=request_id,
        shards=shards,
        trace=trace,
        now_ms=now_ms,
    )


def forgotten_cancel_record(key: str, *, shards: int, trace: HeaderList, now_ms: int) -> ProducerRecord:
    """Build the record that deletes an old cancel from the admission log. *key* is the request's admission key."""
    cancelled = AdmissionEvent(state="cancelled")
    record = _record(cancelled, cancel_key(key), subject=key, shards=shards, trace=trace, now_ms=now_ms)
    return record._replace(value=None)


def serving_record(tenant: str, partition: Partition, *, shards: int, trace: HeaderList, now_ms: int) -> ProducerRecord:
    """Build the record that a tenant's partition is served. The first one shares the first offset's transaction."""
    key = serving_key(tenant, partition)
    return _record(
        AdmissionEvent(state="serving"), key, subject=str(partition), shards=shards, trace=trace, now_ms=now_ms
    )


def _record(
    entry: AdmissionEvent, key: str, *, subject: str, shards: int, trace: HeaderList, now_ms: int
) -> ProducerRecord:
    tenant = key.split("|", 1)[0]
    event = event_of(ADMISSION_TYPE, tenant=tenant, identifier=f"{key}|{entry.state}", subject=subject, now_ms=now_ms)
    headers = envelope(event, trace, correlated(subject))
    value = entry.model_dump_json(exclude_defaults=True).encode()
    return ProducerRecord(ADMISSIONS.name, key.encode(), value, headers, partition=shard_of(tenant, shards))
