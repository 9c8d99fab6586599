"""Runs of agents whose worker is killed at every boundary between two steps."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from schemas import topics
from tests.journey import desk_agents
from tests.journey import platform as journeys
from tests.journey.collector import Collector, collecting
from tests.journey.kcat import Kcat, Seen
from tests.journey.platform import Platform, until

pytestmark = [pytest.mark.timeout(300), pytest.mark.xdist_group("agents")]

STEPS = ("1.model", "2.tool.1", "3.model", "5.handoff", "6.model")
"""The steps of a run in order. The fourth, which asks for the handoff, has no effect and no record."""

BOUNDARIES = (*(f"before {step}" for step in STEPS), "at the end")
QUICK = {"before 2.tool.1", "before 5.handoff"}
"""The kills of the usual suite: each takes ten seconds."""

RESULTS = topics.RESULTS.of("acme")


def rule(system: str, step: int | None, answer: dict[str, Any], user: str | None = None) -> dict[str, Any]:
    """One rule of the scenario."""
    match = {"system_contains": system, "step": step, "user_contains": user}
    return {"match": {name: value for name, value in match.items() if value is not None}, "answer": answer}


def calls(name: str, **arguments: str) -> dict[str, Any]:
    """Return the answer with one tool call."""
    return {"tool_calls": [{"name": name, "arguments": arguments}]}


SCENARIO = {
    "rules": [
        rule("billing", None, {"text": "billed: {user}"}),
        rule("front desk", 0, calls("charge_by_key", order="{user}"), "by key"),
        rule("front desk", 0, calls("look_up", order="{user}"), "look up"),
        rule("front desk", 0, calls("charge", order="{user}")),
        rule("front desk", 1, calls("transfer_to_billing", reason="charged")),
    ]
}


@dataclass(frozen=True)
class Desk:
    """A platform with the agents of ``desk_agents``, and what can be counted."""

    platform: Platform
    collector: Collector
    folder: Path

    def submit(self, *requests: dict[str, Any]) -> None:
        """Send requests in this order."""
        path = self.folder / f"{uuid.uuid4().hex}.jsonl"
        path.write_text("".join(json.dumps(request) + "\n" for request in requests))
        answer = self.platform.cli("submit", "--tenant", "acme", "--file", str(path), "--json")
        assert answer.returncode == 0, answer.stderr

    def results(self, *requests: dict[str, Any], within: float = 60.0) -> list[Seen]:
        """Return the results in the order of the log, once each request has one."""
        wanted, kcat = {request["id"] for request in requests}, Kcat(self.platform.bootstrap)
        kcat.wait(RESULTS, lambda seen: seen.json["request_id"] in wanted, count=len(wanted), within=within)
        time.sleep(0.5)  # a second answer would come now
        return [seen for seen in kcat.read(RESULTS) if seen.json["request_id"] in wanted]

    def run(self, text: str, **metadata: str) -> Seen:
        """Return the only result of a request."""
        request = ask(text, **metadata)
        self.submit(request)
        (result,) = self.results(request)
        return result

    def effects(self, result: Seen) -> list[str]:
        """Return the lines that the tool has written."""
        path = self.folder / f"effects.{result.json['request_id']}"
        return path.read_text().splitlines() if path.exists() else []

    def kills(self, result: Seen) -> int:
        """Return the number of kills of the request's worker."""
        return len(list(self.folder.glob(f"killed.{result.json['request_id']}.*")))

    def asked(self, result: Seen) -> int:
        """Return the number of calls that the model has answered for the run."""
        return int(self.platform.model.calls()["by_trace"].get(result.trace_id, 0))

    def resumed(self, result: Seen) -> bool:
        """Return True if the trace shows a resumed run of the first agent."""
        assert until(lambda: self._invoked(result), 10)
        return any(_flag(span) for span in self._invoked(result))

    def _invoked(self, result: Seen) -> list[Span]:
        spans = [span for _, span in self.collector.of(result.trace_id)]
        return [span for span in spans if span.name == "invoke_agent front"]


def _flag(span: Span) -> bool:
    return any(fact.key == "headrace.resumed" and fact.value.bool_value for fact in span.attributes)


def ask(text: str, session: str | None = None, **metadata: str) -> dict[str, Any]:
    """Return a request to the front desk."""
    return {
        "id": f"r-{uuid.uuid4().hex[:12]}",
        "agent": "front",
        "input": text,
        "session": session,
        "metadata": metadata,
    }


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Generator[Desk]:
    """One platform for the module."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copy(desk_agents.__file__, folder / "desk_agents.py")
    with (
        collecting() as collector,
        journeys.platform(
            "compact", folder, "--agents", "desk_agents", OTEL_EXPORTER_OTLP_ENDPOINT=collector.address
        ) as running,
    ):
        running.model.play(SCENARIO)
        yield Desk(running, collector, folder)


def assert_once(desk: Desk, result: Seen, kills: int, *, paid: int = 3) -> None:
    """The run succeeded, and no finished step was executed twice."""
    assert (result.json["status"], result.json["output"]) == ("succeeded", "billed: an order"), result.json
    assert desk.kills(result) == kills
    assert desk.effects(result) == ["an order"]
    assert desk.asked(result) == paid
    usage = result.json["usage"]
    assert (usage["model_calls"], usage["tool_calls"]) == (3, 1)
    assert result.json["handoffs"] == ["billing"]


def some(*values: str) -> list[Any]:
    """Return parameters, of which those outside ``QUICK`` are slow."""
    return [pytest.param(each, marks=[] if each in QUICK else pytest.mark.slow) for each in values]


@pytest.mark.parametrize("boundary", some(*BOUNDARIES))
def test_a_run_whose_worker_is_killed_between_two_steps_repeats_none(desk: Desk, boundary: str) -> None:
    """A boundary is after the record of one step, and before the next one begins."""
    result = desk.run("an order", kill=boundary)
    if boundary == "before 2.tool.1":  # the tool is recorded as started: the kill may be after its effect
        assert (result.json["status"], result.json["error"]["code"]) == ("failed", "tool_outcome_unknown")
        assert desk.effects(result) == []
        return
    assert_once(desk, result, 1)
    assert desk.resumed(result) == (boundary != "before 1.model")
