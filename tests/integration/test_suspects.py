"""The processes of suspects: they die instead of the worker, and never outlive it."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from consumers.context import StepContext
from consumers.meter import Measurement
from consumers.resilience.cancel import Cancels
from consumers.resilience.suspect_pool import ProcessEndedError, SuspectPool
from ops.isolation import process as module
from ops.isolation.process import Suspected, SuspectTelemetry, suspect_process
from ops.isolation.step import isolated
from ops.settings import Settings
from schemas.clock import CorrectedClock, SystemClock
from schemas.errors import CancelledRunError, ExpiredError, HeadraceError, InternalError
from schemas.requests import Request
from schemas.results import Result
from schemas.stage_records import Screened
from schemas.tenants import Tenant
from streams.telemetry.metric_definitions import SUSPECT_PROCESS_DEATHS
from streams.telemetry.metric_store import MetricStore
from tests.integration.processes import gone
from tests.unit.producers.samples import SCREENED, TRACE

pytestmark = pytest.mark.anyio

TENANT = Tenant(id="acme", agents=("deadly",))
CONTEXT = partial(StepContext, tenant=TENANT, clock=SystemClock(), trace=TRACE)
SETTINGS = Settings(agents="tests.integration.deadly_agents", suspect_memory=384)


def screened(text: str, deadline_s: float = 60.0, **metadata: str) -> Screened:
    """A request with this input."""
    authorized = SCREENED.authorized
    at_ms = SystemClock().now_ms() + int(deadline_s * 1_000)
    request = Request(agent="deadly", input=text, metadata=metadata)
    admission = authorized.admission.model_copy(update={"deadline_ms": at_ms})
    changes = {"request": request, "admission": admission, "run_id": uuid.uuid4().hex}
    return SCREENED.model_copy(update={"text": text, "authorized": authorized.model_copy(update=changes)})


def suspected(text: str, deadline_s: float = 60.0, **metadata: str) -> Suspected:
    """The same, as its process gets it."""
    return Suspected(screened(text, deadline_s, **metadata), CONTEXT())


@asynccontextmanager
async def cohorts(deaths: list[int]) -> AsyncGenerator[SuspectPool[Suspected, Result]]:
    """Small ones, of real processes."""
    made = SuspectPool[Suspected, Result](
        lambda: suspect_process(SETTINGS), size=4, processes=2, linger_s=0.1, died=deaths.append
    )
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(made.serve())
        yield made
        serving.cancel()


async def outcome(made: SuspectPool[Suspected, Result], text: str) -> object:
    """The output, or the error's code."""
    try:
        return str((await made.run(suspected(text))).output).rpartition(" ")[0]
    except HeadraceError as error:
        return error.code


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="only Linux shows the environment of a process")
async def test_a_process_of_suspects_inherits_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs what may be an attack: it gets the model's key over its socket, and never the seals'."""
    monkeypatch.setenv("HEADRACE_SEAL_SECRET", "k1:c2VjcmV0")
    monkeypatch.setenv("OPENAI_API_KEY", "model secret")
    monkeypatch.setenv("SHOP_URL", "http://127.0.0.1:1")
    async with suspect_process(SETTINGS.model_copy(update={"suspect_environment": "SHOP_URL, HOME"})) as process:
        environment = Path(f"/proc/{process.process.pid}/environ").read_bytes().decode().split("\0")

    names = {each.partition("=")[0] for each in environment}
    assert {"PATH", "SHOP_URL"} <= names
    assert not {"HEADRACE_SEAL_SECRET", "OPENAI_API_KEY"} & names


async def test_agents_that_read_a_variable_need_its_name_in_the_settings(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Without it the process cannot start: one line says why, and the error names the setting."""
    monkeypatch.setenv("SHOP_URL", "http://127.0.0.1:1")
    needy = SETTINGS.model_copy(update={"agents": "tests.integration.needy_agents"})

    with pytest.raises(ProcessEndedError, match="HEADRACE_SUSPECT_ENVIRONMENT"):
        async with suspect_process(needy):
            pass
    assert [line for line in capfd.readouterr().err.splitlines() if "SHOP_URL" in line and "headrace: " in line]

    async with suspect_process(needy.model_copy(update={"suspect_environment": "SHOP_URL"})):
        pass


async def test_f9_each_kind_of_death_condemns_its_own_record_and_no_innocent() -> None:
    """An exit, a signal of its own, and memory without end, each among innocents that run beside it."""
    texts = [*(f"innocent {number}" for number in range(6)), "exit", "fail", "grow"]
    deaths: list[int] = []
    async with cohorts(deaths) as made, asyncio.TaskGroup() as group:
        asked = {text: group.create_task(outcome(made, text)) for text in texts}
    found = {text: task.result() for text, task in asked.items()}

    assert {text: found.pop(text) for text in ("exit", "fail", "grow")} == {
        "exit": "poison",
        "fail": "internal",
        "grow": "poison",
    }
    assert found == {f"innocent {number}": f"innocent {number}" for number in range(6)}
    assert deaths.count(1) >= 4


async def test_an_error_keeps_its_fate_on_its_way_from_the_process() -> None:
    """Its class, and what may be shown of it."""
    async with suspect_process(SETTINGS) as process:
        with pytest.raises(InternalError, match="the agent 'deadly' raised ValueError") as caught:
            await process.run(suspected("fail"))
        assert "not for others" in caught.value.detail
        with pytest.raises(InternalError, match="the agent 'deadly' raised SystemExit"):
            await process.run(suspected("leave"))
        with pytest.raises(ExpiredError):
            await process.run(suspected("late", 0.3, sleep="30"))
        assert (await process.run(suspected("alive"))).output == f"alive {process.process.pid}"


async def test_a_process_has_the_time_of_its_worker_and_not_of_its_machine() -> None:
    """The worker's is corrected where the machine's is wrong: a suspect expires no earlier than others."""
    clock = CorrectedClock(SystemClock())
    clock.correct(-400_000)
    async with suspect_process(SETTINGS, clock) as process:
        assert (await process.run(suspected("on time", -350.0))).status == "succeeded"
        with pytest.raises(ExpiredError):
            await process.run(suspected("late", -450.0))


async def test_what_a_suspect_has_used_is_known_whatever_becomes_of_it() -> None:
    """It fails, it kills its process twice, it is taken back: what was paid is counted."""
    cancels = Cancels(SystemClock())
    spent: dict[str, int] = {}
    async with isolated(SETTINGS, cancels, MetricStore("agent")) as step:
        for text in ("fail", "exit", "wait"):
            context = StepContext(tenant=TENANT, clock=SystemClock(), trace=TRACE)
            asked = screened(f"pays, then {text}", sleep="0.02")
            async with asyncio.TaskGroup() as group:
                running = group.create_task(_caught(step(asked, context)))
                while text == "wait" and not context.spending.usage.model_calls:  # noqa: ASYNC110 - nobody tells
                    await asyncio.sleep(0.02)
                if text == "wait":
                    cancels.cancel(asked.authorized.run_id)
            assert isinstance(running.result(), HeadraceError)
            spent[text] = context.spending.usage.input_tokens

    assert (spent["fail"], spent["wait"]) == (7, 7)
    assert spent["exit"] in {14, 21}, "a death beside others, or in a used process, is no strike"


@dataclass
class KeptTelemetry:
    """Keeps what a process's agents told the worker."""

    spans: list[bytes] = field(default_factory=list)
    measured: list[Measurement] = field(default_factory=list)

    def record(self, measurement: Measurement) -> None:
        """Keep a measurement."""
        self.measured.append(measurement)


async def test_the_worker_exports_the_spans_and_figures_of_suspects() -> None:
    """The process knows no collector. The spans of a crash explain it, so those that ended before it count."""
    kept, ((name, _),) = KeptTelemetry(), TRACE
    async with suspect_process(SETTINGS, telemetry=SuspectTelemetry(kept, kept.spans.append)) as process:
        with pytest.raises(InternalError, match="ValueError"):
            await process.run(suspected("fail"))
        not_sampled = ((name, b"00-" + b"1" * 32 + b"-" + b"2" * 16 + b"-00"),)
        await process.run(suspected("not sampled")._replace(context=CONTEXT(trace=not_sampled)))

    (span,) = [Span.FromString(each) for each in kept.spans]
    assert (span.name, span.parent_span_id.hex()) == ("invoke_agent deadly", "2" * 16)
    assert {each.key: each.value.string_value for each in span.attributes}["tenant.id"] == "acme"
    assert [each.outcome for each in kept.measured if each.kind == "agent"] == ["internal", "ok"]
    assert {each.stage for each in kept.measured if each.kind == "guard"} == {"output"}  # of the second run's answer


async def test_a_process_whose_loop_stands_still_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """It can say nothing any more, so silence has to do."""
    monkeypatch.setattr(module, "SILENCE_S", 2.5)
    async with suspect_process(SETTINGS) as process:
        with pytest.raises(ProcessEndedError):
            await process.run(suspected("hang"))
        assert await process.process.wait() == -signal.SIGKILL


async def test_a_process_ends_with_its_block_and_with_what_it_has_started() -> None:
    """Whatever it does at that moment."""
    async with suspect_process(SETTINGS) as process, asyncio.TaskGroup() as group:
        running = group.create_task(process.run(suspected("slow", sleep="60")))
        await asyncio.sleep(0.2)
        running.cancel()
    await gone([process.process.pid], within=5)


async def test_agents_that_cannot_be_loaded_are_an_error_and_no_wait() -> None:
    """Somebody has taken the module away since the worker started."""
    with pytest.raises(ProcessEndedError, match="ended with status 2 before it was ready"):
        async with suspect_process(Settings(agents="tests.integration.nowhere")):
            pass


async def test_a_suspect_that_is_taken_back_stops_in_its_process_and_leaves_it_alive() -> None:
    """Its paid call is closed; its neighbours go on."""
    cancels, metrics = Cancels(SystemClock()), MetricStore("agent")
    context = StepContext(tenant=TENANT, clock=SystemClock(), trace=TRACE)
    async with isolated(SETTINGS, cancels, metrics) as step, asyncio.TaskGroup() as group:
        beside = group.create_task(step(_of_run("other", "beside", sleep="1.5"), context))
        taken = group.create_task(_caught(step(_of_run("run", "taken", sleep="60"), context)))
        while not any(_in_hand(step)):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
        cancels.cancel("run")
        assert isinstance(await taken, CancelledRunError)
        assert str((await beside).output).startswith("beside ")
    assert metrics.total(SUSPECT_PROCESS_DEATHS) == 0


def _of_run(run_id: str, text: str, sleep: str) -> Screened:
    request = screened(text, sleep=sleep)
    return request.model_copy(update={"authorized": request.authorized.model_copy(update={"run_id": run_id})})


def _in_hand(step: Any) -> list[bool]:  # noqa: ANN401 - looks inside
    return [not step.cohorts._fresh]  # noqa: SLF001 - as above


async def _caught(handler: Any) -> BaseException | None:  # noqa: ANN401 - any coroutine
    try:
        await handler
    except HeadraceError as error:
        return error
    return None
