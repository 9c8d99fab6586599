"""Once, in order, whatever dies in between."""

from __future__ import annotations

import json
import os
import signal
import time
import uuid
from contextlib import suppress
from pathlib import Path

import pytest

from schemas import topics
from tests.journey.kcat import Kcat, Seen
from tests.journey.platform import Platform

STAGES = {"auth", "guard", "ingress", "agent", "retries"}
REQUESTS, RESULTS = topics.REQUESTS.of("acme"), topics.RESULTS.of("acme")


def ask(number: int, session: str | None, sleep: float = 0.0) -> dict[str, object]:
    """One request to echo, as a line of a file."""
    return {
        "id": f"{session or 'alone'}-{number}-{uuid.uuid4().hex[:8]}",
        "agent": "echo",
        "input": str(number),
        "session": session,
        "metadata": {"sleep": str(sleep)},
    }


def submit(platform: Platform, requests: list[dict[str, object]], path: Path) -> None:
    """Send them by the command line, in this order."""
    path.write_text("".join(json.dumps(request) + "\n" for request in requests))
    answer = platform.cli("submit", "--tenant", "acme", "--file", str(path), "--json")
    assert answer.returncode == 0, answer.stderr


def results(platform: Platform, requests: list[dict[str, object]], within: float = 60.0) -> list[Seen]:
    """Their results in the order of the log, once all are there."""
    wanted = {request["id"] for request in requests}
    kcat = Kcat(platform.bootstrap)
    kcat.wait(RESULTS, lambda record: record.json["request_id"] in wanted, count=len(wanted), within=within)
    time.sleep(1.0)  # a second answer would come now
    return [record for record in kcat.read(RESULTS) if record.json["request_id"] in wanted]


def pid_of(platform: Platform, stage: str) -> int:
    """The process of a stage as it is now: the child of ``headrace dev`` that was told its name."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(FileNotFoundError, ProcessLookupError):
                parent = (entry / "stat").read_text().rsplit(")", 1)[1].split()[1]
                told = (entry / "cmdline").read_bytes().split(b"\0")
                if parent == str(platform.dev.process.pid) and stage.encode() in told:
                    return int(entry.name)
        time.sleep(0.05)
    raise AssertionError(f"{stage} does not run")


def test_the_same_request_twice_is_answered_once(platform: Platform, tmp_path: Path) -> None:
    """At once, and again after the answer."""
    request = ask(1, None)
    submit(platform, [request, request], tmp_path / "twice.jsonl")
    assert len(results(platform, [request])) == 1
    submit(platform, [request], tmp_path / "again.jsonl")
    assert len(results(platform, [request])) == 1


def test_the_same_id_with_another_body_is_a_conflict(platform: Platform, tmp_path: Path) -> None:
    """Somebody is using an id twice, and is told."""
    first = ask(1, None)
    submit(platform, [first, {**first, "input": "another"}], tmp_path / "conflict.jsonl")
    found = Kcat(platform.bootstrap).wait(RESULTS, lambda record: record.json["request_id"] == first["id"], count=2)
    assert sorted(record.json["status"] for record in found) == ["refused", "succeeded"]
    assert {record.json["error"]["code"] for record in found if "error" in record.json} == {"id_conflict"}


def test_a_session_is_answered_in_order_while_others_overtake_it(platform: Platform, tmp_path: Path) -> None:
    """Ten slow ones of one session, then one of each of five others."""
    slow = [ask(number, f"slow-{uuid.uuid4().hex[:6]}" if not number else None, 0.4) for number in range(1)]
    session = str(slow[0]["session"])
    slow += [ask(number, session, 0.4) for number in range(1, 10)]
    quick = [ask(0, f"quick-{uuid.uuid4().hex[:6]}-{number}") for number in range(5)]
    submit(platform, slow + quick, tmp_path / "sessions.jsonl")
    ids = [record.json["request_id"] for record in results(platform, slow + quick)]
    assert [each for each in ids if each.startswith(session)] == [request["id"] for request in slow]
    last_quick = max(ids.index(request["id"]) for request in quick)
    assert last_quick < ids.index(slow[5]["id"])


@pytest.mark.timeout(240)
def test_killing_any_stage_loses_nothing_and_answers_nothing_twice(platform: Platform, tmp_path: Path) -> None:
    """kill -9 of each stage in turn, in the middle of sessions and of duplicates."""
    tag = uuid.uuid4().hex[:6]
    requests = [ask(number, f"{tag}-{number % 8}", 0.15) for number in range(80)]
    submit(platform, [copy for request in requests for copy in (request, request)], tmp_path / "all.jsonl")
    names = [name for name in platform.pids if name in STAGES]
    assert len(names) == (4 if platform.journey == "split" else 3)
    for name in names:
        time.sleep(0.7)
        os.kill(pid_of(platform, name), signal.SIGKILL)

    found = results(platform, requests, within=120)
    ids = [record.json["request_id"] for record in found]
    assert len(ids) == len(set(ids)) == len(requests)
    assert {record.json["status"] for record in found} == {"succeeded"}
    for lane in range(8):
        sent = [request["id"] for request in requests if request["session"] == f"{tag}-{lane}"]
        assert [each for each in ids if each in set(sent)] == sent
