"""Tenants that change while they are served: other limits, removal, and topics with more partitions."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from schemas import topics
from streams.transport.admin import Admin
from streams.transport.connection import Connection
from tests.journey.kcat import Kcat
from tests.journey.platform import Platform
from tests.journey.test_admission import ask, results, submit, tenant_of

pytestmark = [pytest.mark.timeout(180), pytest.mark.parametrize("platform", ["compact"], indirect=True)]
"""One journey is enough: admission is the same in both."""


def changed(platform: Platform, *arguments: str) -> dict[str, Any]:
    """What `tenants` answers."""
    answer = platform.cli("tenants", *arguments, "--json")
    assert answer.returncode == 0, answer.stderr
    return dict(json.loads(answer.stdout))


def wait_for(platform: Platform, tenant: str, agent: str = "echo") -> dict[str, Any]:
    """The result of one request."""
    answer = platform.cli("submit", "--tenant", tenant, "--agent", agent, "--wait", "--json", "hello")
    return dict(json.loads(answer.stdout))


def test_limits_and_agents_change_while_a_tenant_is_served(platform: Platform, tmp_path: Path) -> None:
    """No restart, and requests that wait already get the new limits too."""
    tenant = tenant_of(platform, "--concurrency", "1", "--agent", "echo")
    submit(platform, tenant, [ask(0, metadata={"sleep": "45"}), *map(ask, range(1, 5))], tmp_path / "r.jsonl")
    record = changed(platform, "set", tenant, "--concurrency", "8", "--agent", "echo", "--agent", "assistant")

    assert (record["limits"]["concurrency"], record["agents"]) == (8, ["echo", "assistant"])
    began = time.monotonic()
    assert len(results(platform, tenant, 4, within=20)) == 4
    assert time.monotonic() - began < 20, "they waited behind one that sleeps for 45 s"


def test_what_is_not_named_stays_and_nonsense_is_refused(platform: Platform) -> None:
    """Each in one line, with the value and the next step."""
    tenant = tenant_of(platform, "--rpm", "90", "--concurrency", "3")

    assert changed(platform, "set", tenant, "--tier", "gold")["limits"]["rpm"] == 90
    assert "rpm" not in changed(platform, "set", tenant, "--rpm", "0")["limits"]
    assert changed(platform, "set", tenant, "--tool", "echo=a,b", "--tool", "assistant=")["tools"]["assistant"] == []
    assert changed(platform, "set", tenant, "--any-tool", "assistant")["tools"] == {"echo": ["a", "b"]}
    for arguments, code in [
        (["set", tenant, "--tool", "find_order"], 2),
        (["set", tenant, "--tool", "echo=a b"], 2),
        (["set", tenant, "--concurrency", "0"], 2),
        (["set", tenant, "--default-deadline", "2h"], 2),
        (["set", tenant, "--max-wait", "soon"], 2),
        (["set", "nobody-there", "--rpm", "1"], 1),
        (["remove", "nobody-there"], 1),
    ]:
        answer = platform.cli("tenants", *arguments)
        assert (answer.returncode, len(answer.stderr.splitlines())) == (code, 1), answer.stderr


def test_a_removed_tenant_finishes_what_runs_and_is_refused_from_then_on(platform: Platform, tmp_path: Path) -> None:
    """What runs ends, what waits is refused at once, the data stays, and the tenant can come back."""
    tenant = tenant_of(platform, "--concurrency", "1", "--agent", "echo")
    submit(platform, tenant, [ask(0, metadata={"sleep": "10"}), *map(ask, range(1, 4))], tmp_path / "r.jsonl")
    time.sleep(1)

    record = changed(platform, "remove", tenant)

    assert record["state"] == "removed"
    ended = [seen.json for seen in results(platform, tenant, 4)]
    codes = [each.get("error", {}).get("code") for each in ended]
    assert sorted(codes, key=str) == [None, "tenant_removed", "tenant_removed", "tenant_removed"]
    assert codes[-1] is None, "those that wait are refused while the first still runs"
    assert wait_for(platform, tenant)["error"]["code"] == "tenant_removed"
    assert changed(platform, "remove", tenant)["state"] == "removed"
    assert changed(platform, "add", tenant, "--agent", "echo", "--concurrency", "2")["state"] == "active"
    assert wait_for(platform, tenant)["status"] == "succeeded"


def test_a_drain_that_takes_too_long_is_said(platform: Platform, tmp_path: Path) -> None:
    """The tenant is removed all the same; the line says how to go on."""
    tenant = tenant_of(platform, "--agent", "echo")
    submit(platform, tenant, [ask(0, metadata={"sleep": "20"})], tmp_path / "r.jsonl")
    time.sleep(1)

    answer = platform.cli("tenants", "remove", tenant, "--wait", "1")

    assert answer.returncode == 1
    assert "1 of its requests still run after 1 s" in answer.stderr.splitlines()[-1]


@pytest.mark.anyio
async def test_more_partitions_than_the_record_says_are_all_served(platform: Platform) -> None:
    """An operator added some by hand; a request to each of them is answered."""
    tenant = tenant_of(platform, "--agent", "echo")
    async with await Admin.open(Connection(platform.bootstrap)) as admin:
        await admin.add_partitions({topics.REQUESTS.of(tenant): 4})
    kcat = Kcat(platform.bootstrap)
    for number in range(4):
        body = json.dumps({"agent": "echo", "input": f"to {number}"}).encode()
        kcat.produce(topics.REQUESTS.of(tenant), body, partition=number)

    found = {seen.json["output"] for seen in results(platform, tenant, 4, within=40)}

    assert found == {f"to {number}" for number in range(4)}
