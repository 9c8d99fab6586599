"""A stage that starts while Kafka is away waits for it, says for what, and ends when it is told to."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ops.embedded.kafka import Kafka, embedded_kafka
from ops.provision import Provision, Wish
from ops.settings import Settings
from streams.transport.connection import Connection
from tests.integration.engine_setup import eventually
from tests.journey.platform import CLI, Running, clean_environment, running

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

STARTED_S = 60.0
CAUGHT = 1 << (signal.SIGTERM - 1)


@pytest.fixture(scope="module")
async def broker(
    anyio_backend: str, embedded_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Kafka]:
    """A broker of its own, set up for the compact journey, that may be stopped."""
    async with embedded_kafka(tmp_path_factory.mktemp("away"), embedded_cache) as kafka:
        settings = Settings(kafka_bootstrap=kafka.bootstrap)
        await Provision(Connection(kafka.bootstrap), settings, Wish(3, "compact")).apply()
        yield kafka


class Stage:
    """``headrace run STAGE``, and what it says."""

    def __init__(self, process: Running) -> None:
        self.process = process

    def lines(self, event: str) -> list[dict[str, Any]]:
        """Its log lines of one kind."""
        rows = [json.loads(line) for line in self.process.errors.read_text().splitlines() if line.startswith("{")]
        return [row for row in rows if row["event"] == event]

    def has(self, event: str) -> Callable[[], bool]:
        """Whether it has logged such a line; it must not have ended meanwhile."""

        def logged() -> bool:
            assert self.process.process.poll() is None, self.process.errors.read_text()[-2000:]
            return bool(self.lines(event))

        return logged

    def opened(self, shards: int) -> Callable[[], bool]:
        """Whether it has opened so many shards."""
        return lambda: len(self.lines("shard_opened")) == shards

    async def ask(self, path: str) -> tuple[int, list[str]]:
        """One of its probes."""
        (started,) = self.lines("http_started")
        async with aiohttp.request("GET", started["address"] + path) as answer:
            return answer.status, (await answer.json())["reasons"]

    async def stop(self) -> tuple[int, float]:
        """SIGTERM; the exit status, and the seconds until then."""
        began = time.monotonic()
        status = await asyncio.to_thread(self.process.stop)
        return status, time.monotonic() - began


@asynccontextmanager
async def stage(name: str, folder: Path, *command: str, **changes: str) -> AsyncGenerator[Stage]:
    """A stage as an operator starts it, or by another *command*."""
    (folder / name).mkdir(parents=True)
    environment = clean_environment(HEADRACE_HTTP_PORT="0", **changes)
    with ExitStack() as stack:
        yield Stage(stack.enter_context(running(command or (*CLI, "run", name), folder / name, environment)))


@pytest.mark.parametrize("name", ["ingress", "agent", "retries"])
async def test_a_stage_waits_for_its_broker_alive_and_not_ready(broker: Kafka, tmp_path: Path, name: str) -> None:
    """An orchestrator that restarted it would only do so again: the log and the probe say for what it waits."""
    await broker.kill()
    async with stage(name, tmp_path, HEADRACE_KAFKA_BOOTSTRAP=broker.bootstrap) as waiting:
        try:
            await eventually(waiting.has("start_delayed"), STARTED_S)
            assert f"cannot reach Kafka at {broker.bootstrap}" in waiting.lines("start_delayed")[0]["waiting_for"]
            assert [await waiting.ask(path) for path in ("/livez", "/startupz")] == [(200, [])] * 2
            status, reasons = await waiting.ask("/readyz")
            assert (status, reasons[0].startswith("it waits to start: cannot reach Kafka")) == (503, True)
        finally:
            await broker.start()
        await eventually(waiting.has("start_continued"), STARTED_S)
        await eventually(waiting.opened(3), STARTED_S)
        assert (await waiting.ask("/readyz"))[0] == 200
        assert (await waiting.stop())[0] == 0


async def test_a_stage_that_waits_for_its_broker_ends_with_0_when_it_is_told_to(tmp_path: Path) -> None:
    """A deployment that is taken down during an outage has not failed."""
    async with stage("agent", tmp_path, HEADRACE_KAFKA_BOOTSTRAP="127.0.0.1:1") as waiting:
        await eventually(waiting.has("start_delayed"), STARTED_S)
        status, seconds = await waiting.stop()
        assert waiting.lines("start_stopped")
    assert status == 0
    assert seconds < 5


@pytest.mark.parametrize("delay_s", [0.0, 0.1, 0.3, 0.6, 1.0, 1.5, 2.5])
async def test_a_stage_that_is_stopped_before_it_is_ready_ends_with_0(
    broker: Kafka, tmp_path: Path, delay_s: float
) -> None:
    """At any moment: while it imports, while it reads the registry, while its shards open."""
    async with stage("agent", tmp_path, HEADRACE_KAFKA_BOOTSTRAP=broker.bootstrap) as starting:
        status = Path(f"/proc/{starting.process.process.pid}/status")
        await eventually(lambda: bool(int(status.read_text().partition("SigCgt:")[2].split()[0], 16) & CAUGHT))
        await asyncio.sleep(delay_s)
        assert (await starting.stop())[0] == 0, starting.process.errors.read_text()


@pytest.mark.parametrize("module", ["ops.cli.app", "ops.cli.entry", "ops.processes", "ops.lab.chaos.stage"])
def test_stop_signals_are_handled_before_anything_large_is_imported(module: str) -> None:
    """The imports take most of a start, and a signal without a handler ends a process as if it had crashed."""
    program = f"""
import runpy, sys
from ops import early_stop
def installed():
    print(sorted({{"asyncio", "typer", "pydantic", "structlog"}} & set(sys.modules)))
    sys.exit(0)
early_stop.install = installed
sys.argv = ["headrace", "run", "agent"]
if {module == "ops.cli.entry"}:
    import ops.cli.entry
    ops.cli.entry.main()
runpy.run_module({module!r}, run_name="__main__")
"""
    command = [sys.executable, "-P", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
