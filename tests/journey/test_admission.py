"""Rates, cancels and queues of one session, seen from outside: F17, F31 and F32 in small."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path

import pytest

from schemas import topics
from tests.journey.kcat import Kcat, Seen
from tests.journey.platform import Platform, until

pytestmark = [pytest.mark.timeout(120), pytest.mark.parametrize("platform", ["split"], indirect=True)]
"""One journey is enough: the door is the same in both."""


def tenant_of(platform: Platform, *options: str) -> str:
    """A tenant of this test's own, that is being served."""
    name = f"door-{uuid.uuid4().hex[:8]}"
    answer = platform.cli("tenants", "add", name, *options)
    assert answer.returncode == 0, answer.stderr
    return name


def ask(number: int, session: str | None = None, agent: str = "echo", **more: object) -> dict[str, object]:
    """One request, as a line of a file."""
    identifier = f"{session or 'alone'}-{number}-{uuid.uuid4().hex[:8]}"
    return {"id": identifier, "agent": agent, "input": str(number), "session": session, **more}


def submit(platform: Platform, tenant: str, requests: list[dict[str, object]], path: Path) -> None:
    """Send them by the command line, in this order."""
    path.write_text("".join(json.dumps(request) + "\n" for request in requests))
    answer = platform.cli("submit", "--tenant", tenant, "--file", str(path), "--json")
    assert answer.returncode == 0, answer.stderr


def results(platform: Platform, tenant: str, count: int, within: float = 30.0) -> list[Seen]:
    """The first results of the tenant, in the order of the log."""
    return Kcat(platform.bootstrap).wait(topics.RESULTS.of(tenant), lambda _: True, count=count, within=within)


def cancel(platform: Platform, tenant: str, request: dict[str, object]) -> None:
    """By the command line."""
    answer = platform.cli("cancel", "--tenant", tenant, "--request", str(request["id"]), "--json")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["request_id"] == request["id"]


def test_a_thousand_requests_of_one_session_hold_up_nobody_else(platform: Platform, tmp_path: Path) -> None:
    """F31: they wait in their lane; the window is for the others."""
    tenant = tenant_of(platform)
    slow = [ask(0, "s", metadata={"sleep": "14"})]
    queue = [ask(number, "s", deadline=7) for number in range(1, 1_000)]
    others = [ask(0, f"o-{number}") for number in range(10)]
    submit(platform, tenant, [*slow, *queue, *others], tmp_path / "many.jsonl")

    found = results(platform, tenant, 10, within=6.0)

    assert {record.json["request_id"] for record in found[:10]} == {request["id"] for request in others}
    every = results(platform, tenant, 1_010)
    states = {record.json["request_id"]: record.json["status"] for record in every}
    assert len(every) == len(states) == 1_010
    assert {states[str(request["id"])] for request in queue} == {"expired"}
    last = [record.json["request_id"] for record in every[-500:]]
    assert slow[0]["id"] in last, "what has expired waits for the one that runs"


def test_a_tenant_gets_its_rate_and_the_rest_waits_until_its_deadline(platform: Platform, tmp_path: Path) -> None:
    """F32 in small: every id is answered, the limited ones when they have waited out; duplicates cost nothing."""
    tenant = tenant_of(platform, "--rpm", "5")
    requests = [ask(number, deadline=4) for number in range(12)]
    submit(platform, tenant, [copy for request in requests for copy in (request, request)], tmp_path / "rate.jsonl")

    found = results(platform, tenant, 12, within=20.0)
    time.sleep(1.0)  # a second answer would come now

    assert len(results(platform, tenant, 12)) == 12
    states = {record.json["request_id"]: record.json["status"] for record in found}
    assert [states[str(request["id"])] for request in requests] == ["succeeded"] * 5 + ["expired"] * 7


def test_a_cancel_reaches_a_request_wherever_it_is(platform: Platform, tmp_path: Path) -> None:
    """Running, waiting at the door, and not there yet: each is answered once, as cancelled."""
    tenant = tenant_of(platform, "--interactive", "--concurrency", "1")
    running, waiting, late = (ask(number, metadata={"sleep": "60"}) for number in range(3))
    submit(platform, tenant, [running, waiting], tmp_path / "two.jsonl")
    cancel(platform, tenant, late)
    cancel(platform, tenant, waiting)
    (first,) = results(platform, tenant, 1)
    assert (first.json["request_id"], first.json["status"]) == (waiting["id"], "cancelled")
    cancel(platform, tenant, running)
    submit(platform, tenant, [late], tmp_path / "late.jsonl")

    found = results(platform, tenant, 3)

    assert {record.json["status"] for record in found} == {"cancelled"}
    assert {record.json["request_id"] for record in found} == {each["id"] for each in (running, waiting, late)}
    assert {record.json["error"]["code"] for record in found} == {"cancelled"}


def test_a_cancel_reaches_a_request_that_waits_to_be_tried_again(platform: Platform, tmp_path: Path) -> None:
    """It is answered where it waits, and not when its ten seconds are over."""
    tenant = tenant_of(platform, "--interactive")
    request = ask(0, metadata={"fail": "model_overloaded", "fail_times": "1"})
    submit(platform, tenant, [request], tmp_path / "one.jsonl")
    wanted = str(request["id"])
    Kcat(platform.bootstrap).wait(topics.RETRIES_10S.name, lambda seen: wanted in str(seen.json), count=1, within=20.0)

    cancel(platform, tenant, request)

    (result,) = results(platform, tenant, 1, within=6.0)
    assert (result.json["request_id"], result.json["status"]) == (wanted, "cancelled")


def test_the_paid_call_of_a_cancelled_run_is_closed_within_a_second(platform: Platform, tmp_path: Path) -> None:
    """Nothing further is paid, and the result says what was."""
    tenant = tenant_of(platform, "--interactive")
    platform.model.clear()
    platform.model.script({"delay": 30})
    request = ask(1, agent="assistant")
    before = platform.model.calls()
    submit(platform, tenant, [request], tmp_path / "paid.jsonl")
    assert until(lambda: platform.model.calls()["number"] > before["number"])
    cancel(platform, tenant, request)
    closed = until(lambda: platform.model.calls()["cancelled"] > before["cancelled"], within=1.0)

    (result,) = results(platform, tenant, 1)

    assert closed
    assert result.json["status"] == "cancelled"
    assert result.json["usage"]["model_calls"] == 0


def test_a_tenant_that_is_not_interactive_is_told_so(platform: Platform) -> None:
    """It has no topic to cancel by."""
    answer = platform.cli("cancel", "--tenant", tenant_of(platform), "--request", "r-1")

    assert answer.returncode == 1
    assert "--interactive" in answer.stderr
