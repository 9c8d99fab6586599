"""Records of the admission log, which every stage writes."""

from __future__ import annotations

from typing import Literal

from producers.envelopes import correlated, envelope, event_of
from schemas.inbox import INBOX_TYPE, InboxEntry, Ticket, serving_key
from schemas.records import HeaderList, Outgoing, Partition
from schemas.topics import INBOX, shard_of


def inbox_record(
    state: Literal["open", "closed"],
    ticket: Ticket,
    *,
    shards: int,
    trace: HeaderList,
    now_ms: int,
    buried: bool = False,
) -> Outgoing:
    """Build the record of an admitted or closed request. *buried* is true if its record was dead-lettered."""
    entry = InboxEntry(state=state, ticket=ticket, buried=buried)
    return _record(entry, ticket.key, subject=ticket.request_id, shards=shards, trace=trace, now_ms=now_ms)


def cancelled_record(key: str, request_id: str, *, shards: int, trace: HeaderList, now_ms: int) -> Outgoing:
    """Build the record of a cancel that precedes the request's admission. *key* is the request's admission key."""
    return _record(InboxEntry(state="cancelled"), key, subject=request_id, shards=shards, trace=trace, now_ms=now_ms)


def serving_record(tenant: str, partition: Partition, *, shards: int, trace: HeaderList, now_ms: int) -> Outgoing:
    """Build the record that a tenant's partition is served. The first one shares the first offset's transaction."""
    key = serving_key(tenant, partition)
    return _record(InboxEntry(state="serving"), key, subject=str(partition), shards=shards, trace=trace, now_ms=now_ms)


def _record(entry: InboxEntry, key: str, *, subject: str, shards: int, trace: HeaderList, now_ms: int) -> Outgoing:
    tenant = key.split("|", 1)[0]
    event = event_of(INBOX_TYPE, tenant=tenant, identifier=f"{key}|{entry.state}", subject=subject, now_ms=now_ms)
    headers = envelope(event, trace, correlated(subject))
    value = entry.model_dump_json(exclude_defaults=True).encode()
    return Outgoing(INBOX.name, key.encode(), value, headers, partition=shard_of(tenant, shards))
