"""One tenant's long texts take nothing from another tenant's."""

from __future__ import annotations

import json
import uuid

import pytest

from schemas import topics
from tests.journey.kcat import Kcat
from tests.journey.platform import Platform

REQUESTS, RESULTS = topics.REQUESTS.of("globex"), topics.RESULTS.of("globex")
FLOOD = topics.REQUESTS.of("acme")
LONG = json.dumps({"agent": "echo", "input": "\U000e0041a" * 200_000}, ensure_ascii=False).encode()
"""A megabyte that takes the guards half a second of CPU time."""


@pytest.mark.timeout(300)
def test_a_flood_of_long_texts_blocks_nothing_of_another_tenant(platform: Platform) -> None:
    """Neither do the texts of the flood fail: to wait for a turn is not a fault of theirs."""
    kcat = Kcat(platform.bootstrap)
    ours = [f"texts-{uuid.uuid4().hex}" for _ in range(8)]

    kcat.produce(FLOOD, b"\x01".join([LONG] * 30))
    for each in ours:
        text = json.dumps({"agent": "echo", "input": each + "\u00e9\u200b" * 10_000}).encode()
        kcat.produce(REQUESTS, text, headers=[f"ce_id={each}"])

    results = kcat.wait(RESULTS, lambda record: record.json.get("request_id") in ours, len(ours), within=120)
    assert {record.json["status"] for record in results} == {"succeeded"}
    assert {verdict["action"] for record in results for verdict in record.json["verdicts"]} == {"pass"}
