"""A whole platform with an agent that may kill its worker, seen from outside (F9)."""

from __future__ import annotations

import time
import uuid
from collections.abc import Generator
from pathlib import Path

import pytest

from schemas import topics
from tests.journey import platform as journeys
from tests.journey.kcat import Kcat
from tests.journey.platform import Platform
from tests.journey.test_admission import results, submit

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

DEADLY = """
import asyncio, os
from headrace import Run, agent

left = []


async def leave():
    await asyncio.sleep(0.2)
    raise SystemExit(3)


@agent("deadly")
async def deadly(text: str, run: Run) -> dict[str, object]:
    await asyncio.sleep(0.5)
    if text == "exit":
        os._exit(3)
    if text == "leave behind":
        left.append(asyncio.ensure_future(leave()))
    return {"pid": os.getpid()}
"""


@pytest.fixture
def deadly(tmp_path: Path) -> Generator[Platform]:
    """A platform with such an agent."""
    (tmp_path / "deadly.py").write_text(DEADLY)
    with journeys.platform("compact", tmp_path, "--agents", "deadly") as running:
        yield running


def ask(text: str) -> dict[str, object]:
    """One request, as a line of a file."""
    return {"id": f"{text}-{uuid.uuid4().hex[:8]}", "agent": "deadly", "input": text}


def test_f9_a_request_that_kills_its_worker_fails_as_poison_and_stops_nobody(deadly: Platform, tmp_path: Path) -> None:
    """One result, one letter, one trace; 200 innocents are answered once; then the worker runs everything itself."""
    added = deadly.cli("tenants", "add", "victims", "--agent", "deadly", "--concurrency", "500")
    assert added.returncode == 0, added.stderr
    poison, innocents = ask("exit"), [ask("hello") for _ in range(200)]
    submit(deadly, "victims", [*innocents[:100], poison, *innocents[100:]], tmp_path / "all.jsonl")
    results(deadly, "victims", 201, within=300)
    time.sleep(2.0)  # a second answer would come now
    found = {record.json["request_id"]: record.json for record in results(deadly, "victims", 201)}
    assert len(results(deadly, "victims", 201)) == len(found) == 201

    failed = found.pop(poison["id"])
    assert (failed["status"], failed["error"]["code"], failed["error"]["retryable"]) == ("failed", "poison", False)
    assert {each["status"] for each in found.values()} == {"succeeded"}
    kcat = Kcat(deadly.bootstrap)
    letters = kcat.wait(topics.DEAD_LETTERS.name, lambda record: str(poison["id"]) in record.value)
    assert [dead_letter.headers["headrace-error-code"] for dead_letter in letters] == ["poison"]
    request = next(r for r in kcat.read(topics.REQUESTS.of("victims")) if r.headers["ce_id"] == poison["id"])
    result = next(r for r in kcat.read(topics.RESULTS.of("victims")) if r.json["request_id"] == poison["id"])
    assert result.trace_id == request.trace_id == letters[0].trace_id

    time.sleep(3.0)
    submit(deadly, "victims", [ask("hello") for _ in range(5)], tmp_path / "later.jsonl")
    later = results(deadly, "victims", 206)[201:]
    (worker,) = {record.json["output"]["pid"] for record in later}
    assert journeys.runs(worker)


def test_what_an_agent_leaves_behind_does_not_end_its_worker(deadly: Platform, tmp_path: Path) -> None:
    """A background task that asks for an exit ends, and the process that serves everybody goes on."""
    added = deadly.cli("tenants", "add", "leavers", "--agent", "deadly")
    assert added.returncode == 0, added.stderr
    submit(deadly, "leavers", [ask("leave behind")], tmp_path / "leave.jsonl")
    (first,) = results(deadly, "leavers", 1)
    time.sleep(1.0)
    submit(deadly, "leavers", [ask("hello")], tmp_path / "hello.jsonl")
    pids = {record.json["output"]["pid"] for record in results(deadly, "leavers", 2)}

    assert first.json["status"] == "succeeded"
    assert pids == {deadly.pids["agent"]}
