"""What the door is told."""

from __future__ import annotations

from typing import Literal

import pytest

from producers.admissions import admission_record, cancelled_record, serving_record
from schemas.admissions import AdmissionEvent, cancel_key
from schemas.records import Partition
from schemas.topics import shard_of
from tests.unit.producers.samples import ADMISSION, NOW, TRACE, texts


@pytest.mark.parametrize("state", ["open", "closed"])
def test_a_request_is_opened_and_closed_under_one_key_in_its_tenants_shard(state: Literal["open", "closed"]) -> None:
    """Whichever stage says so, the tenant's door reads it, and compaction keeps the last word."""
    output = admission_record(state, ADMISSION, shards=24, trace=TRACE, now_ms=NOW)

    assert (output.topic, output.key) == ("platform.admissions", ADMISSION.key.encode())
    assert output.partition == shard_of("acme", 24)
    assert AdmissionEvent.model_validate_json(output.value or b"") == AdmissionEvent(state=state, admission=ADMISSION)
    assert texts(output)["correlation_id"] == "r-1"
    assert texts(output)["ce_type"] == "headrace.admission.v1"
    assert TRACE[0] in output.headers


def test_a_partition_that_is_served_has_a_key_that_no_request_can_have() -> None:
    """A digest is hex; this one names the topic."""
    output = serving_record("acme", Partition("tenants.acme.requests", 1), shards=24, trace=TRACE, now_ms=NOW)

    assert output.key == b"acme|serving|tenants.acme.requests:1"
    assert output.partition == shard_of("acme", 24)
    assert AdmissionEvent.model_validate_json(output.value or b"") == AdmissionEvent(state="serving")


def test_a_cancel_has_a_key_of_its_own() -> None:
    """So that it can be deleted from the log without its request."""
    output = cancelled_record(ADMISSION.key, "r-1", shards=24, trace=TRACE, now_ms=NOW)

    assert (output.key, output.partition) == (cancel_key(ADMISSION.key).encode(), shard_of("acme", 24))
    assert AdmissionEvent.model_validate_json(output.value or b"") == AdmissionEvent(state="cancelled")
    assert texts(output)["correlation_id"] == "r-1"
