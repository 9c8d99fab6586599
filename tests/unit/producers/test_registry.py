"""What the registry keeps."""

from __future__ import annotations

import pytest

from producers.registry import registry_record
from schemas.tenants import Layout, RegistryRecord, SealKeys, SealSecret, Tenant

TRACE = (("traceparent", b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-01"),)


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        (Tenant(id="acme", agents=("echo",)), b"acme"),
        (Layout(shards=8), b"_layout"),
        (SealSecret(kid="k1", secret=b"\x00\xff"), b"_seal"),
        (SealKeys(fingerprints={"k1": "00ff"}), b"_seal_keys"),
    ],
)
def test_an_entry_is_written_under_its_own_key_and_reads_back_as_it_was(
    entry: Tenant | Layout | SealSecret, key: bytes
) -> None:
    """Compaction keeps the latest word on each."""
    output = registry_record(entry, trace=TRACE, now_ms=1_000)

    assert (output.topic, output.key) == ("platform.tenants", key)
    assert {"ce_id", "ce_type", "ce_source", "traceparent", "correlation_id"} <= dict(output.headers).keys()
    assert RegistryRecord.model_validate_json(output.value or b"").root == entry
