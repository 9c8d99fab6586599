"""Commands without Kafka: one that finds none says so within seconds, one that loses it says so and waits."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from ops.embedded import ports
from ops.embedded.kafka import Kafka, embedded_kafka
from ops.provision import Provision, Wish
from ops.settings import Settings
from ops.tenancy import Tenancy
from schemas.records import ProducerRecord
from schemas.results import Result
from schemas.tenants import Tenant
from schemas.topics import RESULTS
from streams.transport.admin import Admin
from streams.transport.connection import Connection
from streams.transport.errors import KafkaUnreachableError
from streams.transport.writer import Writer
from tests.integration.engine_setup import eventually
from tests.journey.platform import CLI, clean_environment, running

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

WITHIN_S = 60.0
RESULT = Result(request_id="r-1", run_id="r", agent="echo", status="succeeded", output="hello")


@pytest.fixture(scope="module")
async def broker(
    anyio_backend: str, embedded_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Kafka]:
    """A broker of its own with one tenant, that may be stopped."""
    async with embedded_kafka(tmp_path_factory.mktemp("outage"), embedded_cache) as kafka:
        settings, connection = Settings(kafka_bootstrap=kafka.bootstrap), Connection(kafka.bootstrap)
        await Provision(connection, settings, Wish(2, "compact")).apply()
        await Tenancy(connection, settings).put(Tenant(id="acme", agents=("echo",)))
        yield kafka


@pytest.mark.parametrize(
    "arguments",
    [
        "topics plan",
        "topics apply",
        "topics relayout --shards 5",
        "tenants list",
        "tenants add acme",
        "results --tenant acme",
        "results --tenant acme --follow",
        "submit --tenant acme --agent echo hello",
        "submit --tenant acme --agent echo --wait hello",
        "cancel --tenant acme --request r-1",
    ],
)
async def test_a_command_whose_every_address_refuses_ends_in_seconds(tmp_path: Path, arguments: str) -> None:
    """Its user waits at the terminal; the address may be a slip of the pen."""
    bootstrap = f"127.0.0.1:{ports.free()},127.0.0.1:{ports.free()}"
    command, environment = [*CLI, *arguments.split()], clean_environment(HEADRACE_KAFKA_BOOTSTRAP=bootstrap)
    began = time.monotonic()
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )

    assert time.monotonic() - began < 9, "three seconds, and the start of a process on a busy machine"
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"headrace: cannot reach Kafka at {bootstrap}: every address refuses the connection:"
        " is it running, and is HEADRACE_KAFKA_BOOTSTRAP its address?\n"
    )


async def test_an_address_that_is_silent_is_not_one_that_refuses() -> None:
    """A broker that starts or is busy may still answer: that takes the whole deadline, as does one of several."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        there = f"127.0.0.1:{silent.getsockname()[1]}"
        for bootstrap in (there, f"127.0.0.1:{ports.free()},{there}"):
            with pytest.raises(KafkaUnreachableError, match="no answer within 2 s"):
                await Admin.open(Connection(bootstrap, refused_s=0.3), deadline_s=2.0)


async def test_an_address_that_answers_in_time_is_used(broker: Kafka) -> None:
    """A broker that is being restarted refuses for a moment."""
    await broker.stop()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(broker.start())
        admin = await Admin.open(Connection(broker.bootstrap, refused_s=60.0), deadline_s=60.0)
    await admin.close()


async def test_results_that_are_followed_say_that_kafka_is_lost_and_when_it_is_back(
    broker: Kafka, tmp_path: Path
) -> None:
    """Silence would look like a tenant without results; and the next result is printed."""
    environment = clean_environment(HEADRACE_KAFKA_BOOTSTRAP=broker.bootstrap)
    with running([*CLI, "results", "--tenant", "acme", "--follow", "--json"], tmp_path, environment) as following:
        await _publish(broker)
        assert "succeeded" in await asyncio.to_thread(following.line, WITHIN_S)
        assert following.errors.read_text() == ""

        await broker.kill()
        await eventually(lambda: "\n" in following.errors.read_text(), WITHIN_S)
        assert following.errors.read_text() == f"lost Kafka at {broker.bootstrap}: waiting until it is back\n"

        await broker.start()
        await eventually(lambda: following.errors.read_text().count("\n") == 2, WITHIN_S)
        assert following.errors.read_text().splitlines()[1].startswith(f"Kafka at {broker.bootstrap} is back after ")
        await _publish(broker)
        assert "succeeded" in await asyncio.to_thread(following.line, WITHIN_S)


async def _publish(broker: Kafka) -> None:
    async with await Writer.open(Connection(broker.bootstrap)) as writer:
        await writer.send(ProducerRecord(RESULTS.of("acme"), b"k", RESULT.model_dump_json().encode()))
