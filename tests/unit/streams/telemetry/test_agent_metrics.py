"""The metrics of agents: the series that each measurement adds to, and their bound."""

from __future__ import annotations

import pytest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from consumers.meter import (
    AgentEnded,
    BudgetDecided,
    GuardEnded,
    HandoffEnded,
    Measurement,
    ModelCallEnded,
    ToolCallEnded,
)
from schemas.errors import BY_CODE
from streams.telemetry.agent_metrics import AgentMetrics, KnownNames
from streams.telemetry.metric_definitions import VOCABULARY
from streams.telemetry.metric_store import MetricStore

KNOWN = KnownNames(
    agents=frozenset({"support", "billing"}),
    models=frozenset({"default"}),
    tools=frozenset({"get_weather"}),
    guards=frozenset({"pii"}),
)


def series(*measurements: Measurement) -> dict[tuple[str, ...], float]:
    """Return the samples of agents' metrics by name and labels, without buckets, after these measurements."""
    store = MetricStore("agent")
    before = _read(store)
    metrics = AgentMetrics(store, KNOWN)
    for each in measurements:
        metrics.record(each)
    return {name: value for name, value in _read(store).items() if name not in before}


def _read(store: MetricStore) -> dict[tuple[str, ...], float]:
    samples = [each for family in text_string_to_metric_families(store.text().decode()) for each in family.samples]
    return {_named(each): each.value for each in samples if not each.name.endswith("_bucket")}


def _named(sample: Sample) -> tuple[str, ...]:
    """Return the sample's name and its labels in the order of their definition."""
    (metric,) = [each for each in VOCABULARY if sample.name.startswith(f"{each.name}_") or sample.name == each.name][:1]
    return (sample.name, *(sample.labels[label] for label in metric.labels))


def test_a_model_call_adds_its_tokens_its_duration_and_a_step() -> None:
    """Only an answered call is a step; an unreadable answer was charged too."""
    read = series(
        ModelCallEnded(agent="support", model="default", outcome="ok", seconds=2.0, input_tokens=7, output_tokens=3),
        ModelCallEnded(agent="support", model="default", outcome="model_unreadable", seconds=1.0, input_tokens=5),
    )

    assert read == {
        ("headrace_model_call_seconds_count", "default", "ok"): 1,
        ("headrace_model_call_seconds_sum", "default", "ok"): 2.0,
        ("headrace_model_call_seconds_count", "default", "model_unreadable"): 1,
        ("headrace_model_call_seconds_sum", "default", "model_unreadable"): 1.0,
        ("headrace_model_tokens_total", "default", "input"): 12,
        ("headrace_model_tokens_total", "default", "output"): 3,
        ("headrace_agent_steps_total", "support", "model"): 1,
    }


def test_an_invocation_a_tool_call_and_a_handoff_are_counted() -> None:
    """A resumed run is one that a kill did not end."""
    read = series(
        AgentEnded(agent="support", outcome="ok", seconds=3.0, resumed=True),
        ToolCallEnded(agent="support", tool="get_weather", outcome="tool_timeout", seconds=1.0),
        HandoffEnded(agent="support", target="billing", outcome="ok"),
    )

    assert read == {
        ("headrace_agent_seconds_count", "support", "ok"): 1,
        ("headrace_agent_seconds_sum", "support", "ok"): 3.0,
        ("headrace_resumed_runs_total", "support"): 1,
        ("headrace_tool_call_seconds_count", "get_weather", "tool_timeout"): 1,
        ("headrace_tool_call_seconds_sum", "get_weather", "tool_timeout"): 1.0,
        ("headrace_handoffs_total", "support", "billing", "ok"): 1,
        ("headrace_agent_steps_total", "support", "tool"): 1,
        ("headrace_agent_steps_total", "support", "handoff"): 1,
    }


def test_a_guard_in_shadow_mode_counts_with_its_own_action() -> None:
    """An operator compares both before the guard is turned on."""
    read = series(
        GuardEnded(stage="input", guard="pii", action="redact", seconds=1.0),
        GuardEnded(stage="output", guard="pii", action="pass", shadow="block", seconds=1.0),
    )

    assert read == {
        ("headrace_guard_verdicts_total", "input", "pii", "redact"): 1,
        ("headrace_guard_verdicts_total", "output", "pii", "shadow_block"): 1,
        ("headrace_guard_seconds_count", "pii"): 2,
        ("headrace_guard_seconds_sum", "pii"): 2.0,
    }


def test_a_limit_of_spending_is_counted_by_its_name() -> None:
    """A tenant that the metrics do not name shares a label with others."""
    found = series(BudgetDecided(tenant="acme", outcome="exhausted", limit="user_day_usd"))
    assert found == {("headrace_budget_decisions_total", "exhausted", "user_day_usd", "other", "other"): 1}


def test_no_metric_has_a_label_of_every_metric() -> None:
    """The worker's stage is a label of all; a second one would overwrite it."""
    assert [each.name for each in VOCABULARY if "stage" in each.labels] == []


def _odd(name: str) -> list[Measurement]:
    return [
        AgentEnded(agent=name, outcome=name, seconds=1, resumed=True),
        ModelCallEnded(agent=name, model=name, outcome=name, seconds=1, input_tokens=1),
        ToolCallEnded(agent=name, tool=name, outcome=name, seconds=1),
        HandoffEnded(agent=name, target=name, outcome=name),
        GuardEnded(stage="tool", guard=name, action="flag", seconds=1),
        BudgetDecided(tenant=name, outcome="exhausted", limit=name),
    ]


def test_names_that_a_model_invents_make_no_series() -> None:
    """A model may call a thousand tools that no one has."""
    one = series(*_odd("invented"))

    assert series(*(each for number in range(1_000) for each in _odd(f"invented-{number}"))).keys() == one.keys()


@pytest.mark.parametrize("code", BY_CODE)
def test_each_error_code_is_an_outcome(code: str) -> None:
    """An alert names the code."""
    read = series(ToolCallEnded(agent="support", tool="get_weather", outcome=code, seconds=1))

    assert ("headrace_tool_call_seconds_count", "get_weather", code) in read
