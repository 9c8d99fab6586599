"""F17: one request, one result, however often and wherever it is sent; and F31: a session in order, come what may."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from functools import partial
from pathlib import Path

import pytest

from schemas import topics
from tests.journey.kcat import Kcat, Seen
from tests.journey.platform import Platform
from tests.journey.test_admission import ask, results, submit, tenant_of
from tests.journey.test_order import pid_of
from tests.journey.test_wire import is_of

pytestmark = [pytest.mark.timeout(120), pytest.mark.parametrize("platform", ["split"], indirect=True)]
"""One journey is enough: the door is the same in both."""

OLD = """
import asyncio, json, sys, time
from streams.transport.aiokafka_types import Producer
async def main(bootstrap, topic, identity, count):
    producer = Producer(bootstrap_servers=bootstrap)
    await producer.start()
    headers = [("ce_id", identity.encode()), ("ce_source", b"/here")]
    for _ in range(int(count)):
        stamp = int(time.time() * 1_000) - 2 * 3_600_000
        value = json.dumps({"agent": "echo", "input": identity}).encode()
        await producer.send_and_wait(topic, value, headers=headers, timestamp_ms=stamp)
    await producer.stop()
asyncio.run(main(*sys.argv[1:]))
"""


def send(platform: Platform, tenant: str, identity: str, partition: int, source: str = "/here") -> None:
    """One request to *partition*, as a client without anything of ours writes it."""
    value = json.dumps({"agent": "echo", "input": identity}).encode()
    headers = ["-H", f"ce_id={identity}", "-H", f"ce_source={source}"]
    where = ["-b", platform.bootstrap, "-t", topics.REQUESTS.of(tenant), "-p", str(partition)]
    subprocess.run(["kcat", "-P", "-D", "\x01", *where, *headers], input=value, check=True, timeout=30)


def of(platform: Platform, tenant: str, identity: str) -> list[Seen]:
    """The results so far."""
    found = Kcat(platform.bootstrap).read(topics.RESULTS.of(tenant))
    return [record for record in found if record.json["request_id"] == identity]


def passed(platform: Platform, tenant: str) -> None:
    """Whatever was sent before has been decided: a request behind it in each partition has been answered."""
    for partition in range(2):
        last = uuid.uuid4().hex
        send(platform, tenant, last, partition)
        Kcat(platform.bootstrap).wait(topics.RESULTS.of(tenant), is_of(last))


def restarted(platform: Platform, stage: str) -> None:
    """Its process is killed; what it knew is gone with it."""
    before = pid_of(platform, stage)
    os.kill(before, signal.SIGKILL)
    while pid_of(platform, stage) == before:
        time.sleep(0.05)


def test_f17_a_request_sent_again_anywhere_is_answered_once(platform: Platform) -> None:
    """I17: in another partition, after the door's death, with Valkey emptied. From another source it is another."""
    tenant, identity = tenant_of(platform, "--partitions", "2"), uuid.uuid4().hex
    for partition in (0, 1, 0):
        send(platform, tenant, identity, partition)
    passed(platform, tenant)
    assert len(of(platform, tenant, identity)) == 1

    restarted(platform, "auth")
    _empty(platform)
    send(platform, tenant, identity, 1)
    passed(platform, tenant)
    assert len(of(platform, tenant, identity)) == 1

    send(platform, tenant, identity, 1, source="/there")
    passed(platform, tenant)
    assert [record.json["status"] for record in of(platform, tenant, identity)] == ["succeeded", "succeeded"]


def _empty(platform: Platform) -> None:
    """What Valkey holds may make things faster, and never decides."""
    script = "import sys, redis; redis.Redis.from_url(sys.argv[1]).flushall()"
    subprocess.run([sys.executable, "-c", script, platform.valkey], check=True, timeout=30)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_f17_a_request_that_waited_in_a_backlog_is_answered_once(platform: Platform) -> None:
    """Two hours old, three times over, and again after the door was killed."""
    tenant, identity = tenant_of(platform, "--partitions", "2"), uuid.uuid4().hex
    for _ in range(2):
        command = [sys.executable, "-c", OLD, platform.bootstrap, topics.REQUESTS.of(tenant), identity, "3"]
        subprocess.run(command, check=True, timeout=30)
        passed(platform, tenant)
        assert [record.json["status"] for record in of(platform, tenant, identity)] == ["succeeded"]
        restarted(platform, "auth")


def test_f31_a_session_keeps_its_order_over_a_retry_a_refusal_and_deaths(platform: Platform, tmp_path: Path) -> None:
    """The first waits in a retry tier while stages are killed; the others wait for it, and the count returns to 0.

    One tenant has room for another request meanwhile, and only its session holds it back; one has none, nor has it
    afterwards if a place is lost.
    """
    roomy, narrow = tenant_of(platform, "--concurrency", "2"), tenant_of(platform, "--concurrency", "1")
    sessions = {tenant: _session() for tenant in (roomy, narrow)}
    for tenant, session in sessions.items():
        submit(platform, tenant, session, tmp_path / f"{tenant}.jsonl")
        Kcat(platform.bootstrap).wait(topics.RETRIES_10S.name, partial(_names, str(session[0]["id"])))
    for stage in ("auth", "guard", "agent", "retries"):
        restarted(platform, stage)

    for tenant, session in sessions.items():
        found = results(platform, tenant, 3, within=60)
        assert [(record.json["request_id"], record.json["status"]) for record in found] == [
            (session[0]["id"], "succeeded"),
            (session[1]["id"], "refused"),
            (session[2]["id"], "succeeded"),
        ]
    submit(platform, narrow, [ask(4)], tmp_path / "last.jsonl")
    assert results(platform, narrow, 4)[3].json["status"] == "succeeded"


def _session() -> list[dict[str, object]]:
    """The first fails once, the second is refused, and nothing is wrong with the third."""
    first = ask(1, "s", metadata={"fail": "model_overloaded", "fail_times": "1"})
    return [first, ask(2, "s", agent="nobody"), ask(3, "s")]


def _names(identity: str, record: Seen) -> bool:
    return identity in record.value
