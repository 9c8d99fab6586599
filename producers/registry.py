"""Records of the registry: tenants, the layout, the seal keys and the seal secret."""

from __future__ import annotations

from producers.envelopes import correlated, envelope, event_of
from schemas.records import HeaderList, ProducerRecord
from schemas.tenants import REGISTRY_TYPE, Layout, RegistryRecord, SealKeys, SealSecret, Tenant
from schemas.topics import TENANTS

PLATFORM = "platform"
"""The tenant part of the event source if a record belongs to no tenant."""


def registry_record(
    entry: Tenant | Layout | SealSecret | SealKeys, *, trace: HeaderList, now_ms: int
) -> ProducerRecord:
    """Build the latest record of a tenant, the layout, the seal keys or the seal secret. It replaces the one before."""
    record = RegistryRecord(entry)
    tenant = entry.id if isinstance(entry, Tenant) else PLATFORM
    identifier = f"{record.key}|{now_ms}"
    event = event_of(REGISTRY_TYPE, tenant=tenant, identifier=identifier, subject=record.key, now_ms=now_ms)
    headers = envelope(event, trace, correlated(record.key))
    return ProducerRecord(TENANTS.name, record.key.encode(), record.model_dump_json().encode(), headers)
