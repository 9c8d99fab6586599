"""What a worker says of itself, asked over HTTP."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from ops.errors import OperationError
from ops.health import served
from streams.telemetry.metric_store import MetricStore

pytestmark = pytest.mark.anyio


@dataclass
class FakeWorker:
    """Healthy, unless told otherwise."""

    metrics: MetricStore = field(default_factory=lambda: MetricStore("agent"))
    ready: bool = True
    joined: bool = True
    stopping: bool = False
    fatal: str | None = None
    beat: float = 0.0
    polled: float = 0.0

    def beat_ago_s(self) -> float:
        return self.beat

    def polled_ago_s(self) -> float:
        return self.polled


@pytest.fixture
async def asked() -> AsyncGenerator[tuple[FakeWorker, Any]]:
    """A worker, and what asks it."""
    worker = FakeWorker()
    async with served(worker, "127.0.0.1", 0) as address, aiohttp.ClientSession(address) as session:

        async def ask(path: str) -> tuple[int, list[str]]:
            async with session.get(path) as answer:
                return answer.status, (await answer.json())["reasons"]

        yield worker, ask


async def test_a_healthy_worker_says_so(asked: tuple[FakeWorker, Any]) -> None:
    """On each of the three."""
    _, ask = asked

    assert [await ask(path) for path in ("/livez", "/readyz", "/startupz")] == [(200, [])] * 3


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"stopping": True}, "it drains"),
        ({"stopping": True, "ready": False}, "it drains"),
        ({"ready": False}, "a shard that it owns is not open"),
        ({"ready": False, "joined": False}, "its group has given it nothing yet"),
        ({"polled": 31.0}, "records were last looked for 31 s ago"),
        ({"fatal": "offset out of range"}, "it has failed"),
    ],
)
async def test_a_worker_that_does_not_serve_says_why(
    asked: tuple[FakeWorker, Any], change: dict[str, Any], reason: str
) -> None:
    """And lives all the same: to end it would help nobody."""
    worker, ask = asked
    for name, value in change.items():
        setattr(worker, name, value)

    assert await ask("/readyz") == (503, [reason])
    assert await ask("/livez") == (200, [])


async def test_a_worker_whose_loop_or_intake_has_stopped_does_not_live(asked: tuple[FakeWorker, Any]) -> None:
    """Nothing else is a reason to end it; one that drains looks for nothing any more."""
    worker, ask = asked
    worker.beat, worker.polled = 10.4, 61.0
    assert await ask("/livez") == (
        503,
        ["the event loop was last seen 10 s ago", "records were last looked for 61 s ago"],
    )

    worker.beat, worker.stopping = 0.0, True

    assert await ask("/livez") == (200, [])


async def test_a_worker_has_started_once_it_has_been_ready(asked: tuple[FakeWorker, Any]) -> None:
    """And is not started again by a shard that moves."""
    worker, ask = asked
    worker.ready = False
    assert await ask("/startupz") == (503, ["a shard that it owns is not open"])

    worker.ready = True
    assert (await ask("/startupz"))[0] == 200

    worker.ready = False
    assert (await ask("/startupz"))[0] == 200


async def test_what_is_measured_is_read_by_prometheus(asked: tuple[FakeWorker, Any]) -> None:
    """Gauges are set when somebody asks."""
    worker, _ = asked
    looks: list[int] = []
    worker.metrics.look.append(lambda: looks.append(1))
    async with served(worker, "127.0.0.1", 0) as address, aiohttp.request("GET", f"{address}/metrics") as answer:
        text, kind = await answer.text(), answer.headers["Content-Type"]

    assert kind.startswith("text/plain; version=")
    assert "headrace_records" in {family.name for family in text_string_to_metric_families(text)}
    assert looks == [1]


async def test_a_port_that_is_taken_is_one_clear_line() -> None:
    """It says what to set."""
    async with served(FakeWorker(), "127.0.0.1", 0) as address:
        port = int(address.rpartition(":")[2])

        with pytest.raises(OperationError, match=rf"^port {port} of 127\.0\.0\.1 cannot be had \(.*HEADRACE_HTTP_PORT"):
            async with served(FakeWorker(), "127.0.0.1", port):
                pass


async def test_a_page_of_another_site_gets_no_metrics() -> None:
    """They name tenants; its name may lead to 127.0.0.1."""
    async with (
        served(FakeWorker(), "127.0.0.1", 0) as address,
        aiohttp.ClientSession(address) as session,
        session.get("/metrics", headers={"Host": "evil.example"}) as answer,
    ):
        assert answer.status == 421
