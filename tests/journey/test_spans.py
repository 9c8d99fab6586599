"""One trace from a request to its result, as a collector sees it that real stages send to."""

from __future__ import annotations

import itertools
import json

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.journey.collector import Collector, collecting
from tests.journey.platform import platform, until

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

        last = steps[-1][1].span_id
        results = "send tenants.acme.results"
        assert until(lambda: any(s.name == results and s.parent_span_id == last for _, s in collector.of(trace_id)), 10)


def traces(collector: Collector) -> set[str]:
    """Every trace that has been seen."""
    return {span.trace_id.hex() for _, span in list(collector.spans)}
