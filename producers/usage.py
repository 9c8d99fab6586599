"""Usage records, for bills and budgets: one for each run that used anything, in the transaction of its result."""

from __future__ import annotations

from producers.envelopes import correlation_of, envelope, event_of
from schemas.records import HeaderList, ProducerRecord
from schemas.stage_records import Origin
from schemas.topics import USAGE, shard_of
from schemas.usage import USAGE_TYPE, UsageRecord


def usage_record(usage: UsageRecord, *, origin: Origin, shards: int, trace: HeaderList) -> ProducerRecord:
    """Build the record of a run's usage, keyed by tenant. Its id is the run's: readers count each id once."""
    tenant = usage.tenant
    event = event_of(USAGE_TYPE, tenant=tenant, identifier=usage.run_id, subject=usage.request_id, now_ms=usage.at_ms)
    headers = envelope(event, trace, correlation_of(origin, usage.request_id))
    return ProducerRecord(
        USAGE.name, tenant.encode(), usage.model_dump_json().encode(), headers, partition=shard_of(tenant, shards)
    )
