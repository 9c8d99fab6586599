"""Workers on machines whose clock is wrong: nothing expires early or late, and the worker says that it is wrong."""

from __future__ import annotations

import re
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from ops.client import submit
from ops.embedded.kafka import embedded_kafka
from ops.lab.chaos.clock import setting_of
from ops.provision import Provision, Wish
from ops.settings import Settings
from ops.tenancy import Tenancy
from schemas.requests import Request
from schemas.results import Result
from schemas.tenants import Tenant
from schemas.topics import SHARDS
from streams.transport.admin import Admin
from streams.transport.connection import Connection
from tests.integration.changes import set_config
from tests.integration.engine_setup import eventually
from tests.integration.processes import ROOT
from tests.integration.test_stage_start import STARTED_S, Stage, stage

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(240)]

STAGES = ("ingress", "agent")
WITHIN_S = 40.0


@pytest.fixture(scope="module")
async def settings(
    anyio_backend: str, embedded_cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Settings]:
    """A broker with the right time, and one tenant."""
    async with embedded_kafka(tmp_path_factory.mktemp("skew"), embedded_cache) as kafka:
        found = Settings(kafka_bootstrap=kafka.bootstrap)
        connection = Connection(kafka.bootstrap)
        await Provision(connection, found, Wish(2, "compact")).apply()
        await Tenancy(connection, found).put(Tenant(id="acme", agents=("echo",)))
        yield found


@asynccontextmanager
async def stages(settings: Settings, folder: Path, **skews: float) -> AsyncGenerator[dict[str, Stage]]:
    """All stages that a request passes; some with a clock that is ahead by so many seconds."""
    async with AsyncExitStack() as stack:
        found: dict[str, Stage] = {}
        for name in STAGES:
            command = (sys.executable, "-P", "-m", "tests.integration.skewed_stage", name, str(skews.get(name, 0.0)))
            environment = {"HEADRACE_KAFKA_BOOTSTRAP": settings.kafka_bootstrap or "", "PYTHONPATH": str(ROOT)}
            found[name] = await stack.enter_async_context(stage(name, folder, *command, **environment))
        for each in found.values():
            await eventually(each.opened(2), STARTED_S)
        yield found


async def ask(settings: Settings, *, sleep: str = "0", deadline: float | None = None) -> Result:
    """One request."""
    request = Request(agent="echo", input="x", deadline=deadline, metadata={"sleep": sleep})
    return await submit(settings, "acme", request, within=WITHIN_S)


@pytest.mark.parametrize("skew_s", [400.0, -400.0])
@pytest.mark.parametrize("name", STAGES)
async def test_a_clock_that_is_minutes_wrong_expires_nothing_and_is_not_ready(
    settings: Settings, tmp_path: Path, name: str, skew_s: float
) -> None:
    """Deadlines are the broker's time, whatever the machine believes; an operator learns of it by the probe."""
    async with stages(settings, tmp_path, **{name: skew_s}) as found:
        answered = await ask(settings)
        late = await ask(settings, sleep="5", deadline=2.0)
        status, reasons = await found[name].ask("/readyz")

        assert (answered.status, late.status) == ("succeeded", "expired")
        assert abs(answered.timing.queued_ms) < 30_000
        word = "ahead of" if skew_s > 0 else "behind"
        assert status == 503
        assert re.match(rf"its clock is (399|400)\.\d s {word} the brokers'", reasons[0])
        (warned,) = found[name].lines("clock_corrected")
        assert (warned["level"], warned["ready"]) == ("warning", False)
        (other,) = set(STAGES) - {name}
        assert found[other].lines("clock_corrected") == []
        assert (await found[other].ask("/readyz"))[0] == 200


@pytest.mark.parametrize(("skew_s", "corrected"), [(20.0, True), (-20.0, True), (3.0, False), (-3.0, False)])
async def test_a_clock_that_is_seconds_wrong_is_ready_and_corrected(
    settings: Settings, tmp_path: Path, skew_s: float, *, corrected: bool
) -> None:
    """Above five seconds it is warned about."""
    async with stages(settings, tmp_path, agent=skew_s) as found:
        assert (await ask(settings)).status == "succeeded"
        assert (await found["agent"].ask("/readyz"))[0] == 200
        assert [row["ready"] for row in found["agent"].lines("clock_corrected")] == [True] * corrected


async def test_a_clock_that_is_set_while_a_worker_runs_is_measured_again(settings: Settings, tmp_path: Path) -> None:
    """By an operator or a broken NTP, between two measurements: an hour would be long."""
    command = (sys.executable, "-P", "-m", "ops.lab.chaos.stage", "ingress")
    async with stage("ingress", tmp_path, *command, HEADRACE_KAFKA_BOOTSTRAP=settings.kafka_bootstrap or "") as one:
        await eventually(one.opened(2), STARTED_S)
        setting = setting_of(tmp_path / "ingress", one.process.process.pid)

        setting.write_text("300000")
        await eventually(one.has("clock_corrected"), 10.0)
        status, reasons = await one.ask("/readyz")
        assert (status, "ahead of the brokers'" in reasons[0]) == (503, True)

        setting.write_text("0")
        await eventually(one.has("clock_correction_ended"), 10.0)
        assert (await one.ask("/readyz"))[0] == 200


async def test_a_topic_that_keeps_the_writers_time_measures_nothing_and_delays_no_start(
    settings: Settings, tmp_path: Path
) -> None:
    """A worker that cannot know goes on with its own clock, and says so."""
    async with await Admin.open(Connection(settings.kafka_bootstrap or "")) as admin:
        await set_config(admin, SHARDS.name, message_timestamp_type="CreateTime")
        async with stages(settings, tmp_path, agent=20.0) as found:
            assert [row["level"] for row in found["agent"].lines("clock_not_measured")] == ["warning"]
            assert (await ask(settings)).status == "succeeded"
        await set_config(admin, SHARDS.name, message_timestamp_type="LogAppendTime")
