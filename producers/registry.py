"""What the registry keeps of tenants and of the layout."""

from __future__ import annotations

from producers.envelopes import correlated, envelope, event_of
from schemas.records import HeaderList, Outgoing
from schemas.tenants import REGISTRY_TYPE, Layout, RegistryRecord, SealSecret, Tenant
from schemas.topics import TENANTS

PLATFORM = "platform"
"""Whose event it is, where it is no tenant's."""


def registry_record(entry: Tenant | Layout | SealSecret, *, trace: HeaderList, now_ms: int) -> Outgoing:
    """The latest word on a tenant, the layout or the seal; it replaces the one before."""
    record = RegistryRecord(entry)
    tenant = entry.id if isinstance(entry, Tenant) else PLATFORM
    identifier = f"{record.key}|{now_ms}"
    event = event_of(REGISTRY_TYPE, tenant=tenant, identifier=identifier, subject=record.key, now_ms=now_ms)
    headers = envelope(event, trace, correlated(record.key))
    return Outgoing(TENANTS.name, record.key.encode(), record.model_dump_json().encode(), headers)
