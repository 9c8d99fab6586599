"""One trace from a request to its result, as a collector sees it that real stages send to."""

from __future__ import annotations

import itertools
import json

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from tests.journey.collector import Collector, collecting
from tests.journey.platform import get, platform, targets, until

pytestmark = pytest.mark.timeout(240)

AT_FIRST = [
    ("headrace-auth", "process tenants.acme.requests"),
    ("headrace-guard", "process platform.authorized"),
    ("headrace-agent", "process platform.screened"),
]
AGAIN = [("headrace-retries", "process platform.retries.10s"), ("headrace-agent", "process platform.screened")]


def processed(collector: Collector, trace_id: str) -> list[tuple[str, Span]]:
    """What the stages did, one after another."""
    return [(service, span) for service, span in collector.of(trace_id) if span.name.startswith("process ")]


def test_a_request_and_its_retry_are_one_trace_of_parents_and_children(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Each stage below the one before; what is tried again below what failed; each send below what wrote it."""
    folder = tmp_path_factory.mktemp("spans")
    with (
        collecting() as collector,
        platform("split", folder, OTEL_EXPORTER_OTLP_ENDPOINT=collector.address) as own,
    ):
        sent = own.cli(
            *("submit", "--tenant", "acme", "--agent", "echo", "--wait", "--json", "hello"),
            *("--metadata", "fail=model_overloaded", "--metadata", "fail_times=1"),
        )
        assert json.loads(sent.stdout)["status"] == "succeeded", sent.stderr
        wanted = [*AT_FIRST, *AGAIN]
        assert until(lambda: any(len(processed(collector, each)) == len(wanted) for each in traces(collector)), 20)

        trace_id = next(each for each in traces(collector) if len(processed(collector, each)) == len(wanted))
        steps = processed(collector, trace_id)
        assert [(service, span.name) for service, span in steps] == wanted
        for (_, before), (_, after) in itertools.pairwise(steps):
            assert after.parent_span_id == before.span_id

        assert {told(span).get("tenant.id") for _, span in collector.of(trace_id)} == {"acme"}
        last = steps[-1][1].span_id
        results = "send tenants.acme.results"
        assert until(lambda: any(s.name == results and s.parent_span_id == last for _, s in collector.of(trace_id)), 10)


def traces(collector: Collector) -> set[str]:
    """Every trace that has been seen."""
    return {span.trace_id.hex() for _, span in list(collector.spans)}


AGENTS = '''
from opentelemetry import trace

from headrace import Agent


def get_weather(city: str) -> str:
    """Return the weather in a city, in the span that is current there."""
    return f"{trace.get_current_span().get_span_context().span_id:016x}"


support = Agent("support", instructions="Be brief.", tools=[get_weather])
'''

OVERLOADED = {"status": 503, "error": {"message": "secret"}}
USAGE = {"prompt_tokens": 7, "completion_tokens": 3}
WEATHER = {"tool_calls": [{"name": "get_weather", "arguments": '{"city": "secret"}', "id": "call_1"}], "usage": USAGE}
ANSWER = {"text": "secret", "usage": USAGE}

COUNTED = (
    'headrace_model_call_seconds_count{model="small-model",outcome="ok",stage="agent"} 2.0',
    'headrace_model_call_seconds_count{model="small-model",outcome="model_overloaded",stage="agent"} 1.0',
    'headrace_model_tokens_total{direction="input",model="small-model",stage="agent"} 14.0',
    'headrace_agent_seconds_count{agent="support",outcome="ok",stage="agent"} 1.0',
    'headrace_agent_steps_total{agent="support",kind="tool",stage="agent"} 1.0',
    'headrace_tool_call_seconds_count{outcome="ok",stage="agent",tool="get_weather"} 1.0',
)


def agent_spans(collector: Collector, trace_id: str) -> list[Span]:
    """The agents' spans of one trace, in the order of their starts."""
    mine = ("invoke_agent", "chat", "execute_tool")
    return [span for _, span in collector.of(trace_id) if span.name.partition(" ")[0] in mine]


def told(span: Span) -> dict[str, str | int | bool]:
    """Its attributes."""
    values = {each.key: each.value for each in span.attributes}
    return {name: getattr(value, value.WhichOneof("value") or "") for name, value in values.items()}


def test_an_agents_model_calls_and_tool_calls_are_in_the_trace_of_their_request(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The failed attempt is there too, each call carries its own span's place, and no content leaves the platform."""
    folder = tmp_path_factory.mktemp("agent_spans")
    (folder / "traced.py").write_text(AGENTS)
    with (
        collecting() as collector,
        platform(
            *("split", folder, "--agents", "traced"),
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.address,
            HEADRACE_MODEL_NAME="small-model",
        ) as own,
    ):
        own.model.script(OVERLOADED, WEATHER, ANSWER)
        sent = own.cli(
            *("submit", "--tenant", "acme", "--agent", "support", "--session", "s-1", "--wait", "--json", "secret")
        )
        result = json.loads(sent.stdout)
        assert result["status"] == "succeeded", f"{result} {sent.stderr}"
        assert until(lambda: any(len(agent_spans(collector, each)) == 5 for each in traces(collector)), 20)
        trace_id = next(each for each in traces(collector) if len(agent_spans(collector, each)) == 5)
        results = "send tenants.acme.results"
        assert until(lambda: any(span.name == results for _, span in collector.of(trace_id)), 10)
        calls = own.model.calls()["calls"]

        agent, first, second, tool, last = agent_spans(collector, trace_id)
        assert [span.name for span in (agent, first, second, tool, last)] == [
            "invoke_agent support",
            "chat small-model",
            "chat small-model",
            "execute_tool get_weather",
            "chat small-model",
        ]
        (step,) = [span for _, span in collector.of(trace_id) if span.name == "process platform.screened"]
        assert agent.parent_span_id == step.span_id
        assert {span.parent_span_id for span in (first, second, tool, last)} == {agent.span_id}
        assert all(span.start_time_unix_nano >= step.start_time_unix_nano for span in (agent, first))
        assert tool.span_id.hex() in json.dumps(calls[-1]["body"]["messages"][-1]), "a thread has the tool's span"
        assert (told(tool)["gen_ai.tool.call.id"], told(tool)["gen_ai.tool.name"]) == ("call_1", "get_weather")

        failed = [
            span.name for span in agent_spans(collector, trace_id) if span.status.code == Status.STATUS_CODE_ERROR
        ]
        assert (failed, first.status.code) == (["chat small-model"], Status.STATUS_CODE_ERROR)
        assert told(first)["error.type"] == "model_overloaded"
        assert [told(span).get("gen_ai.usage.input_tokens") for span in (first, second, last)] == [None, 7, 7]
        assert told(second)["gen_ai.response.model"] == "small-model"
        assert told(agent)["gen_ai.conversation.id"] == "s-1"
        assert {told(span).get("gen_ai.request.model") for span in (agent, second)} == {"small-model"}
        places = [f"00-{trace_id}-{span.span_id.hex()}-01" for span in (first, second, last)]
        assert [call["headers"]["traceparent"] for call in calls] == places
        every = [span for _, span in collector.of(trace_id)]
        assert {told(span).get("tenant.id") for span in every} == {"acme"}
        assert "secret" not in str(every)

        metrics = get(targets(own)["agent"], "/metrics")[1]
        for sample in COUNTED:
            assert f"{sample}\n" in metrics, sample
