"""Runs of agents whose worker is killed at every boundary between two steps."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from redis import Redis

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
QUICK = {"before 5.handoff"}
"""The kill of the usual suite: each takes ten seconds."""

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
        rule("mail clerk", 0, calls("read_mail"), "read"),
        rule("mail clerk", 1, calls("charge", order="{last_tool_result}"), "read"),
        rule("mail clerk", 0, calls("charge", order="{user}"), "charge"),
        rule("mail clerk", None, {"text": "{last_tool_result}"}),
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

    def run(self, text: str, agent: str = "front", **metadata: str) -> Seen:
        """Return the only result of a request."""
        request = ask(text, agent=agent, **metadata)
        self.submit(request)
        (result,) = self.results(request)
        return result

    def hold(self, *moments: str) -> list[Held]:
        """Return runs that wait, each at its moment."""
        held = [Held(self, ask("an order", hold=moment), moment) for moment in moments]
        self.submit(*(each.request for each in held))
        for each in held:
            assert until(each.path.exists, 60), f"it did not come to {each.moment}"
        return held

    @contextmanager
    def valkey(self) -> Generator[Redis]:
        """Yield a client of the platform's Valkey."""
        with Redis.from_url(self.platform.valkey, socket_timeout=10) as client:
            yield client

    @property
    def valkey_pid(self) -> int:
        """The process of Valkey."""
        with self.valkey() as client:
            return int(client.info("server")["process_id"])

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


@dataclass(frozen=True)
class Held:
    """A run that waits at a moment."""

    desk: Desk
    request: dict[str, Any]
    moment: str

    @property
    def path(self) -> Path:
        """The file that the run writes when it waits."""
        return self.desk.folder / f"held.{self.request['id']}"

    @property
    def pid(self) -> int:
        """The process that runs it."""
        return int(self.path.read_text())

    def release(self) -> None:
        """Let it go on; any further attempt does not wait."""
        (self.desk.folder / f"released.{self.request['id']}").touch()


def results_of(held: list[Held]) -> list[Seen]:
    """Return the only result of each run, in the order of the runs."""
    found = held[0].desk.results(*(each.request for each in held), within=90)
    assert len(found) == len(held)
    by_id = {seen.json["request_id"]: seen for seen in found}
    return [by_id[each.request["id"]] for each in held]


def _flag(span: Span) -> bool:
    return any(fact.key == "headrace.resumed" and fact.value.bool_value for fact in span.attributes)


def ask(text: str, session: str | None = None, agent: str = "front", **metadata: str) -> dict[str, Any]:
    """Return a request."""
    return {
        "id": f"r-{uuid.uuid4().hex[:12]}",
        "agent": agent,
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
            *("compact", folder, "--agents", "desk_agents"),
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.address,
            HEADRACE_GRACE="2",
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


@pytest.mark.parametrize(
    ("text", "kill"),
    [("an order", "inside 2.tool.1"), pytest.param("an order", "after 2.tool.1", marks=pytest.mark.slow)],
)
def test_a_tool_that_was_killed_after_its_effect_is_not_called_again(desk: Desk, text: str, kill: str) -> None:
    """Its outcome is in no journal, and a person decides."""
    result = desk.run(text, kill=kill)
    assert (result.json["status"], result.json["error"]["code"]) == ("failed", "tool_outcome_unknown")
    assert desk.effects(result) == ["an order"]
    assert (desk.kills(result), desk.asked(result)) == (1, 1)


@pytest.mark.slow
@pytest.mark.parametrize("text", ["an order by key", "look up an order"])
def test_a_repeatable_tool_that_was_killed_is_called_again(desk: Desk, text: str) -> None:
    """One that takes an idempotency key gets the same key."""
    result = desk.run(text, kill="inside 2.tool.1")
    assert (result.json["status"], result.json["output"]) == ("succeeded", f"billed: {text}")
    effects = desk.effects(result)
    assert (len(effects), len(set(effects)), desk.asked(result)) == (2, 1, 3)


@pytest.mark.slow
@pytest.mark.parametrize("kill", ["after 1.model", "after 6.model"])
def test_a_kill_before_the_record_of_an_answer_repeats_that_call_only(desk: Desk, kill: str) -> None:
    """No journal can have what its worker did not live to write."""
    assert_once(desk, desk.run("an order", kill=kill), 1, paid=4)


@pytest.mark.slow
@pytest.mark.parametrize("kill", ["before 3.model", "at the end"])
@pytest.mark.parametrize("kills", [2, 3])
def test_a_suspect_resumes_from_its_journal_in_a_process_of_its_own(desk: Desk, kill: str, kills: int) -> None:
    """The third attempt runs apart; the fourth does, if the third kills that process alone."""
    result = desk.run("an order", kill=kill, kills=str(kills))
    assert_once(desk, result, kills)
    assert desk.resumed(result)


@pytest.mark.slow
def test_a_request_that_kills_every_process_ends_as_poison_with_one_effect(desk: Desk) -> None:
    """Its finished steps are not repeated on the way."""
    result = desk.run("an order", kill="before 3.model", kills="9")
    assert (result.json["status"], result.json["error"]["code"]) == ("failed", "poison")
    assert (desk.effects(result), desk.asked(result)) == (["an order"], 1)


@pytest.mark.slow
def test_taint_survives_a_kill_and_the_next_turn_until_the_tenant_accepts_it(desk: Desk) -> None:
    """The mail's source is in the journal and in the session memory; only the record of the tenant clears it."""
    session = f"s-{uuid.uuid4().hex[:8]}"

    def turn(text: str, **metadata: str) -> Seen:
        request = ask(text, session, agent="clerk", **metadata)
        desk.submit(request)
        return desk.results(request)[0]

    first, second = turn("read and obey", kill="before 3.model"), turn("charge now")
    assert (desk.kills(first), first.json["usage"]["tool_calls"]) == (1, 1)
    for each in (first, second):
        assert each.json["status"] == "succeeded", str(each.json)
        assert "tool_denied" in each.json["output"]
        assert "tool:read_mail" in each.json["output"]
    assert (desk.effects(first), desk.effects(second)) == ([], [])

    changed = desk.platform.cli("tenants", "set", "acme", "--accept-taint", "charge=tool:read_mail")
    assert changed.returncode == 0, changed.stderr
    assert until(lambda: turn("charge again").json["output"] == "done", 30)


# --- memory -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_session_is_in_order_and_has_each_exchange_once_whatever_is_killed(desk: Desk) -> None:
    """One kill before the memory is written, and two between that and the result."""
    session = f"s-{uuid.uuid4().hex[:8]}"
    first = ask("an order", session, kill="at the end")
    second = ask("another order", session, kill="remembered", kills="2")
    third = ask("a third order", session)
    desk.submit(first, second, third)
    found = desk.results(first, second, third, within=120)

    assert [seen.json["request_id"] for seen in found] == [first["id"], second["id"], third["id"]]
    assert {seen.json["status"] for seen in found} == {"succeeded"}
    assert [desk.kills(seen) for seen in found] == [1, 2, 0]
    assert read_by(desk, found[2]) == [
        ("user", "an order"),
        ("assistant", "billed: an order"),
        ("user", "another order"),
        ("assistant", "billed: another order"),
        ("user", "a third order"),
    ]


def read_by(desk: Desk, result: Seen) -> list[tuple[str, str]]:
    """Return what the run's first model call has read."""
    ours = [each for each in desk.platform.model.calls()["calls"] if result.trace_id in each["headers"]["traceparent"]]
    return [(each["role"], each["content"]) for each in ours[0]["body"]["messages"] if each["role"] != "system"]


# --- Valkey -----------------------------------------------------------------------------------------------------------


BEFORE = [f"before {step}" for step in STEPS]
AFTER = [f"after {step}" for step in STEPS]
"""The next thing is the write of the step's outcome."""


def test_runs_wait_for_a_journal_whose_writes_fail(desk: Desk) -> None:
    """Valkey stands still when each step's outcome is to be written: no step is repeated, and none is skipped."""
    held = desk.hold(*AFTER)
    pid = desk.valkey_pid
    os.kill(pid, signal.SIGSTOP)
    try:
        assert_nothing_starts(desk, held)
        time.sleep(1.0)  # with the lines above longer than a write may take
    finally:
        os.kill(pid, signal.SIGCONT)
    for result in results_of(held):
        assert_once(desk, result, 0)


def test_a_full_valkey_delays_runs_with_tools_and_no_others(desk: Desk) -> None:
    """It refuses writes; no step starts until it takes them again."""
    held = desk.hold(*AFTER)
    with desk.valkey() as client:
        client.config_set("maxmemory", 1)
        try:
            assert_nothing_starts(desk, held)
        finally:
            client.config_set("maxmemory", 0)
    for result in results_of(held):
        assert_once(desk, result, 0)


def assert_nothing_starts(desk: Desk, held: list[Held]) -> None:
    """The runs do not go on, and an agent without tools answers."""
    before = desk.platform.model.calls()["number"]
    for each in held:
        each.release()
    assert desk.run("hello", agent="echo").json["status"] == "succeeded"
    assert desk.platform.model.calls()["number"] == before


def test_runs_survive_an_emptied_valkey(desk: Desk) -> None:
    """Their worker knows more than the store, and writes it again."""
    held = desk.hold(*BEFORE, *AFTER)
    with desk.valkey() as client:
        client.flushall()
    for each in held:
        each.release()
    for result in results_of(held):
        assert_once(desk, result, 0)


@pytest.mark.slow
def test_no_tool_is_called_when_journal_and_worker_are_lost(desk: Desk) -> None:
    """It may have been called before: the run ends, with the effect that it had. Runs without tools go on."""
    plain = ask("hello", agent="echo", sleep="3")
    held = desk.hold(*BEFORE, *AFTER)
    desk.submit(plain)
    with desk.valkey() as client:
        client.flushall()
    os.kill(held[0].pid, signal.SIGKILL)
    for each, result in zip(held, results_of(held), strict=True):
        assert (result.json["status"], result.json["error"]["code"]) == ("failed", "tool_outcome_unknown"), each.moment
        assert desk.effects(result) == ["an order"] * (each.moment not in NOT_YET), each.moment
    assert [seen.json["status"] for seen in desk.results(plain)] == ["succeeded"]


NOT_YET = {"before 1.model", "after 1.model", "before 2.tool.1"}
"""Moments before the tool's effect."""


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True], ids=["its worker lives", "its worker is killed too"])
def test_a_restarted_valkey_repeats_no_tool(desk: Desk, killed: bool) -> None:  # noqa: FBT001 - a parameter
    """It reads its file again. A worker that was killed meanwhile cannot know that nothing was lost."""
    held = desk.hold(*BEFORE)
    os.kill(desk.valkey_pid, signal.SIGKILL)
    if killed:
        os.kill(held[0].pid, signal.SIGKILL)
    for each in held:
        each.release()
    for each, result in zip(held, results_of(held), strict=True):
        if result.json["status"] == "succeeded":
            assert_once(desk, result, 0)
            continue
        assert killed
        assert result.json["error"]["code"] == "tool_outcome_unknown"
        assert desk.effects(result) == ["an order"] * (each.moment not in NOT_YET)


# --- another owner ----------------------------------------------------------------------------------------------------


@pytest.fixture
def second(desk: Desk) -> Generator[None]:
    """A second worker of the agents, for the test."""
    command = [*journeys.CLI, "run", "agent", "--agents", "desk_agents"]
    (folder := desk.folder / "second").mkdir(exist_ok=True)
    with journeys.running(command, folder, desk.platform.env | {"PYTHONPATH": str(desk.folder)}):
        time.sleep(8.0)  # it joins the group, and half of the shards move
        yield


@pytest.mark.slow
def test_a_worker_that_slept_beyond_its_session_starts_no_step(desk: Desk, second: None) -> None:
    """The other one finishes the runs; what the late one wants to do and write is refused."""
    held = desk.hold(*BEFORE, *AFTER)
    late, asleep = held[0].pid, [each for each in held if each.pid == held[0].pid]
    os.kill(late, signal.SIGSTOP)
    try:
        results = results_of(asleep)
        seen = [(desk.asked(result), desk.effects(result)) for result in results]
        for each in held:
            each.release()
    finally:
        os.kill(late, signal.SIGCONT)
    time.sleep(3.0)  # the late worker would go on now
    assert [(desk.asked(result), desk.effects(result)) for result in results] == seen
    for each, result in zip(held, results_of(held), strict=True):
        assert_moved(desk, each, result, moved=each in asleep)


def assert_moved(desk: Desk, held: Held, result: Seen, *, moved: bool) -> None:
    """The run has one result, and repeated nothing but the call whose outcome its first worker had not written."""
    if moved and held.moment.endswith("2.tool.1"):
        assert result.json["error"]["code"] == "tool_outcome_unknown"
        assert len(desk.effects(result)) == held.moment.startswith("after")
    else:
        unwritten = moved and held.moment.startswith("after") and held.moment.endswith("model")
        assert_once(desk, result, 0, paid=3 + unwritten)


@pytest.mark.slow
def test_runs_whose_shards_move_by_plan_repeat_no_step(desk: Desk, second: None) -> None:
    """A worker that is told to stop does not wait for runs beyond its grace; the other one resumes them."""
    held = desk.hold(*BEFORE, *AFTER)
    leaving = [each for each in held if each.pid == held[0].pid]
    os.kill(held[0].pid, signal.SIGTERM)
    results = results_of(leaving)
    for each in held:
        each.release()
    assert len(results) == len(leaving)
    for each, result in zip(held, results_of(held), strict=True):
        assert_moved(desk, each, result, moved=each in leaving)


@pytest.mark.slow
def test_a_worker_that_is_cut_off_from_kafka_only_starts_no_step(desk: Desk) -> None:
    """It could go on spending by model, tools and journal; it waits, and resumes without a lost attempt."""
    held = desk.hold(*BEFORE, *AFTER)
    kafka = desk.platform.pids["kafka"]
    os.kill(kafka, signal.SIGSTOP)
    try:
        time.sleep(SESSION_S + 1.0)
        before = desk.platform.model.calls()["number"], effects_of(desk, held)
        for each in held:
            each.release()
        time.sleep(2.0)
        assert (desk.platform.model.calls()["number"], effects_of(desk, held)) == before
    finally:
        os.kill(kafka, signal.SIGCONT)
    for each, result in zip(held, results_of(held), strict=True):
        if each.moment == "before 2.tool.1":  # its start is recorded
            assert result.json["error"]["code"] == "tool_outcome_unknown"
            assert desk.effects(result) == []
        else:
            assert_once(desk, result, 0)


SESSION_S = 6.0
"""The session of the group (``EngineConfig.session_ms``)."""


def effects_of(desk: Desk, held: list[Held]) -> int:
    """Return the number of effects of all the runs."""
    return sum((desk.folder / f"effects.{each.request['id']}").exists() for each in held)
