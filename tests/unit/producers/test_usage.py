"""Usage records."""

from __future__ import annotations

from producers.usage import usage_record
from schemas.topics import shard_of
from schemas.usage import UsageRecord
from tests.unit.producers.samples import NOW, ORIGIN, TRACE, texts

USAGE = UsageRecord(
    tenant="acme",
    run_id="run-1",
    request_id="r-1",
    agent="echo",
    subject="acme",
    status="failed",
    attempt=2,
    at_ms=NOW,
    input_tokens=7,
    model_calls=1,
)


def test_a_tenants_usage_is_in_one_partition_under_its_key() -> None:
    """A reader of one tenant's bill needs no other partition, and counts each run id once."""
    output = usage_record(USAGE, origin=ORIGIN, shards=6, trace=TRACE)

    assert (output.topic, output.key, output.partition) == ("platform.usage", b"acme", shard_of("acme", 6))
    assert UsageRecord.model_validate_json(output.value or b"") == USAGE
    assert texts(output)["ce_type"] == "headrace.usage.v1"
    assert (texts(output)["ce_id"], texts(output)["ce_subject"]) == ("run-1", "r-1")
    assert dict(output.headers)["correlation_id"] == ORIGIN.correlation_id
    assert TRACE[0] in output.headers
