"""A budget from its first limit to a lost store: set, spent, refused, raised, emptied and loaded again."""

from __future__ import annotations

import json
from typing import Any

import pytest
from redis import Redis

from schemas import topics
from tests.journey.kcat import Kcat
from tests.journey.platform import Platform
from tests.journey.test_admission import tenant_of

pytestmark = [pytest.mark.timeout(180), pytest.mark.parametrize("platform", ["compact"], indirect=True)]

ANSWER = {"text": "hi", "usage": {"prompt_tokens": 900, "completion_tokens": 100}}


def command(platform: Platform, *arguments: str) -> list[dict[str, Any]]:
    """The lines that a command of budgets prints."""
    done = platform.cli("budgets", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def ended(platform: Platform, tenant: str) -> tuple[str, str | None]:
    """The status and the code of one request's result."""
    done = platform.cli("submit", "--tenant", tenant, "--agent", "assistant", "--wait", "--json", "hello")
    result = json.loads(done.stdout)
    return result["status"], (result.get("error") or {}).get("code")


def used(platform: Platform, tenant: str) -> list[tuple[str, int, int, str]]:
    """The limits of the day: spender, counts, difference to the ledger, and state."""
    rows = command(platform, "show", tenant, "--ledger")
    return [(row["name"], row["used"], row["difference"], row["state"]) for row in rows]


def test_a_budget_is_set_spent_raised_and_loaded_after_a_loss(platform: Platform) -> None:
    """The counts and the ledger agree at each point, and what was spent before the first limit counts."""
    tenant = tenant_of(platform, "--agent", "assistant")
    platform.model.clear()
    platform.model.script(*[ANSWER] * 9)
    assert ended(platform, tenant) == ("succeeded", None)

    assert command(platform, "set", tenant, "--tokens-per-day", "1.5k")[0]["tenant"]["tokens_per_day"] == 1_500
    assert [ended(platform, tenant) for _ in range(2)] == [("succeeded", None), ("refused", "budget_exhausted")]
    assert used(platform, tenant) == [("", 2_000, 0, "exhausted")]
    assert not [each for each in Kcat(platform.bootstrap).read(topics.DEAD_LETTERS.name) if tenant in str(each.key)]

    command(platform, "set", tenant, "--tokens-per-day", "3.5k")
    with Redis.from_url(platform.valkey) as store:
        store.flushall()
    assert ended(platform, tenant) == ("succeeded", None)
    assert used(platform, tenant) == [("", 3_000, 0, "soft")]
    platform.model.clear()
