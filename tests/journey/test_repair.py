"""Places that leaked are freed, and no others: the tenant's own requests go on."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from producers.admissions import admission_record
from producers.stage_records import screened_record
from schemas import topics
from schemas.admissions import AdmissionKey, Identity, request_key
from schemas.requests import Request
from schemas.seals import Seals
from schemas.stage_records import Authorized, Origin, Screened
from streams.telemetry.trace_context import follow
from streams.transport.connection import Connection
from streams.transport.writer import TransactionalWriter
from tests.journey.platform import Platform, until
from tests.journey.test_admission import ask, results, submit, tenant_of

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(180),
    pytest.mark.parametrize("platform", ["compact", "split"], indirect=True),
]

SHARDS = 6
STRANGER = Seals({"k9": b"a secret that no worker has......"}, "another-cluster")


def admitted(tenant: str, request_id: str, deadline_ms: int) -> Screened:
    """A request behind admission."""
    identity = Identity(tenant=tenant, issuer="topic", subject=tenant, source="/", id=request_id)
    admission = AdmissionKey(
        key=request_key(identity),
        body="b0d1",
        lane=f"session|{tenant}|s",
        request_id=request_id,
        deadline_ms=deadline_ms,
        agent="echo",
    )
    authorized = Authorized(
        request=Request(agent="echo", input="x", session="s"),
        identity=identity,
        run_id=identity.digest,
        admission=admission,
        origin=Origin(topic=topics.REQUESTS.of(tenant), partition=0, offset=0, timestamp_ms=0),
        reply_to=topics.RESULTS.of(tenant),
    )
    return Screened(authorized=authorized, text="x")


async def leak(platform: Platform, tenant: str, request_id: str) -> None:
    """Admit a request, and seal its record with a secret that no worker has, all in one transaction."""
    now_ms = int(time.time() * 1_000)  # noqa: TID251 - the wall clock of a test
    hop = admitted(tenant, request_id, now_ms + 600_000)
    records = [
        screened_record(hop, STRANGER, (), partition=topics.shard_of(tenant, SHARDS)),
        admission_record("open", hop.authorized.admission, shards=SHARDS, trace=follow(()).headers, now_ms=now_ms),
    ]
    async with await TransactionalWriter.open(Connection(platform.bootstrap), f"leak-{uuid.uuid4()}") as writer:
        await writer.transact(records)


def repair(platform: Platform, tenant: str, *options: str) -> list[dict[str, Any]]:
    """What it prints: one line a place, and the summary last."""
    answer = platform.cli("tenants", "repair", tenant, "--json", *options)
    assert answer.returncode == 0, answer.stderr
    return [json.loads(line) for line in answer.stdout.splitlines()]


async def test_a_place_that_leaked_is_freed_and_a_live_run_keeps_its_own(platform: Platform, tmp_path: Path) -> None:
    """Concurrency 2: one place leaked, one has a run. A third request waits until the place is free again."""
    tenant = tenant_of(platform, "--concurrency", "2", "--agent", "echo")
    assert repair(platform, tenant) == [{"tenant": tenant, "leaked": 0, "freed": 0}]
    await leak(platform, tenant, "leaked-1")
    submit(platform, tenant, [ask(0, metadata={"sleep": "40"}), ask(1), ask(2, "s")], tmp_path / "r.jsonl")
    assert until(lambda: len(repair(platform, tenant, "--plan")) == 2), "once the agent stage has refused the record"

    planned, summary = repair(platform, tenant, "--plan")
    assert (planned["action"], planned["request_id"], planned["reason"]) == ("free", "leaked-1", "lost")
    assert summary == {"tenant": tenant, "leaked": 1, "freed": 0}

    assert repair(platform, tenant)[-1] == {"tenant": tenant, "leaked": 1, "freed": 1}

    ended = {seen.json["request_id"]: seen.json for seen in results(platform, tenant, 3, within=25)}
    assert ended.pop("leaked-1")["status"] == "failed"
    assert [each["output"] for each in ended.values()] == ["1", "2"], "also the next one of its session"
    assert repair(platform, tenant) == [{"tenant": tenant, "leaked": 0, "freed": 0}]


async def test_a_tenant_that_there_is_not_has_no_places(platform: Platform) -> None:
    """One line, with the next step."""
    answer = platform.cli("tenants", "repair", "nobody-there")

    assert answer.returncode == 1
    assert "no tenant is called nobody-there" in answer.stderr
