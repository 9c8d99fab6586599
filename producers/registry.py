"""What the registry keeps of tenants and of the layout."""

from __future__ import annotations

from schemas.records import HeaderList, Outgoing
from schemas.tenants import Layout, RegistryRecord, SealSecret, Tenant
from schemas.topics import TENANTS


def registry_record(entry: Tenant | Layout | SealSecret, *, trace: HeaderList = ()) -> Outgoing:
    """The latest word on a tenant, the layout or the seal; it replaces the one before."""
    record = RegistryRecord(entry)
    return Outgoing(TENANTS.name, record.key.encode(), record.model_dump_json().encode(), trace)
