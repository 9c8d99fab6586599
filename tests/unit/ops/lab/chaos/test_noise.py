"""The noisy tenant sends every kind of trouble, and says what may come of it."""

from __future__ import annotations

import random

from ops.lab.chaos.noise import HUGE, NOWHERE, TENANT, noise
from schemas.requests import Request
from schemas.tenants import RegistryRecord
from schemas.topics import EDGE_RECORD_LIMIT
from tests.unit.streams.engine.shard_setup import NOW

MANY = [noise(f"r{number}", random.Random(number), NOW) for number in range(200)]


def test_every_kind_comes_and_may_end_in_the_way_that_it_asks_for() -> None:
    """A kind that may only be refused would prove nothing, one that may end anyhow too."""
    ways = {each.may for each in MANY}

    assert ways == {
        frozenset({"refused", "succeeded"}),
        frozenset({"refused", "succeeded", "cancelled"}),
        frozenset({"refused", "succeeded", "expired"}),
        frozenset({"refused", "failed"}),
    }
    assert {each.cancel_after_s is not None for each in MANY if "cancelled" in each.may} == {True}


def test_what_must_fail_cannot_succeed() -> None:
    """Its answer is too large, its topic does not exist, or its agent fails."""
    for each in MANY:
        if "failed" in each.may:
            request = Request.model_validate_json(each.record.value or b"")
            times = int(request.metadata.get("times", "1"))
            missing = NOWHERE.encode() in dict(each.record.headers).values()
            assert (times * len(request.text) > EDGE_RECORD_LIMIT) or missing or "fail" in request.metadata
    assert EDGE_RECORD_LIMIT < HUGE


def test_a_registry_would_take_the_tenant() -> None:
    """Its limits agree with each other."""
    assert RegistryRecord(TENANT).key == "noisy"
