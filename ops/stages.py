"""Run one stage in one process, from the settings to a drained stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from types import FrameType
from typing import Any

import structlog

from consumers.agent.blocked_agent import blamed_agent
from consumers.agent.registry import AgentRegistry as Agents
from consumers.agent.services import AgentServices
from consumers.guard.blocked_guard import blamed_guard
from consumers.guard.registry import GuardRegistry
from consumers.guard.tenant_pipelines import TenantPipelines
from consumers.resilience.cancel import Cancels
from consumers.resilience.thread_pool import ThreadPool
from ops.agent_services import agent_services
from ops.agents import agents_of
from ops.budget_watch import BudgetWatch
from ops.budgets.loader import BudgetLoader
from ops.budgets.loading import budget_loader
from ops.clock_check import ClockCheck
from ops.debugging import SESSION_MS
from ops.errors import LayoutMovingError, OperationError, StoppedError, UsageError
from ops.guard_settings import guard_registry
from ops.isolation.process import SuspectTelemetry
from ops.isolation.step import isolated
from ops.isolation.text_processes import text_processes
from ops.known_names import known_names
from ops.names import client_name, process_name
from ops.retry_forever import retry_forever
from ops.settings import Settings
from ops.stage_context import StageContext, stage_context
from ops.stage_start import StageStart, unless_stopped
from ops.telemetry import tracing_of
from ops.tuning import tune
from ops.wiring import steps_of
from schemas.clock import Clock, CorrectedClock
from streams.engine.admission_memory import AdmissionMemory
from streams.engine.config import EngineConfig
from streams.engine.worker import Worker
from streams.handler import StageHandler
from streams.journey import INGRESS_GROUP, INGRESS_STAGES, JOURNEYS, RETRIES, versioned
from streams.registry.tenants import TenantRegistry
from streams.stages.ingress import IngressStage
from streams.stages.inner import InnerStage
from streams.stages.record_builder import RecordBuilder
from streams.stages.retries import RetryMover, RetryTiers
from streams.stages.run_controls import RunControls, reach_ms
from streams.stages.tenant_follower import TenantFollower
from streams.telemetry.agent_metrics import AgentMetrics
from streams.telemetry.metric_definitions import (
    GUARD_SETTINGS_UNUSABLE,
    MODEL_CALLS_UNPRICED,
    MODEL_FIELDS_DROPPED,
    THREADS_ABANDONED,
    THREADS_OVERDUE,
    THREADS_RUNNING,
)
from streams.telemetry.metric_store import OTHER, MetricStore
from streams.telemetry.spans import Tracing
from streams.transport.admin import Admin
from streams.transport.errors import TransportError
from streams.transport.reader import Reader

log = structlog.get_logger()

STAGES = ("auth", "guard", "ingress", "agent", RETRIES)
CANCELLABLE = ("agent", RETRIES)
"""Stages that can cancel a run after admission: where it runs, and where it waits for its retry."""

GUARDED = ("guard", "ingress", "agent")
"""Stages that run guards."""

READY_POLL_S = 0.02
MEASURE_S = 10.0
"""Seconds for one measurement of the clock while the stage serves."""


@dataclass(frozen=True, slots=True)
class StageCallbacks:
    """Callbacks for the parent of a stage; by default, each does nothing."""

    ready: Callable[[], None] = lambda: None
    """Called when every owned shard is open: at the start, and after each change of the group."""

    http: Callable[[str], None] = lambda _: None
    """Called with the address of the stage's health and metrics, if it has one."""

    worker: Callable[[Worker], None] = lambda _: None
    """Called with the worker before it starts."""


async def run_stage(
    settings: Settings,
    stage: str,
    callbacks: StageCallbacks,
    clock: Clock,
    stop: asyncio.Event | None = None,
    *,
    at_terminal: bool = False,
) -> None:
    """Run *stage* until *stop* (SIGTERM or SIGINT if None), then drain.

    With *at_terminal*, a debugger may pause the process: SIGINT is its own, and the session is long.

    Raises OperationError if it cannot run, or cannot go on.
    """
    if stage not in STAGES:
        raise UsageError(f"no stage is called {stage}: there are {', '.join(STAGES)}")
    stop = stop or _stop_signal((signal.SIGTERM,) if at_terminal else (signal.SIGTERM, signal.SIGINT))
    corrected = CorrectedClock(clock)
    start = StageStart(stage, corrected)
    stage_run = StageRun(settings, stage, callbacks, start, ClockCheck(corrected), at_terminal)
    async with AsyncExitStack() as stack:
        await _show(settings, stage_run, stack)
        try:
            async with unless_stopped(stop):
                worker = await stage_run.start.until_started(stage_run.attempt, stack)
        except StoppedError:
            log.info("start_stopped", stage=stage)
            return
        tune()
        try:
            await stage_run.serve(worker, stop)
        except* TransportError as errors:
            raise OperationError(f"stage {stage}: {errors.exceptions[0]}") from errors
    if worker.fatal is not None:
        raise OperationError(f"stage {stage} cannot go on: {worker.fatal}")
    if stage_run.context.layout_guard.over and not stop.is_set():
        raise LayoutMovingError(stage_run.context.registry.layout)


@dataclass(slots=True)
class StageRun:
    """One stage in this process: its start, which may take several attempts, and its service afterwards."""

    settings: Settings
    stage: str
    callbacks: StageCallbacks
    start: StageStart
    clock_check: ClockCheck
    at_terminal: bool
    budgets: BudgetWatch = field(default_factory=BudgetWatch)
    context: StageContext = field(init=False)
    services: StageServices = field(init=False)
    loader: BudgetLoader | None = None

    async def attempt(self, stack: AsyncExitStack, deadline_s: float) -> Worker:
        """Build the stage and start its worker. Raises TransportError if Kafka does not answer in *deadline_s*."""
        settings, stage = self.settings, self.stage
        self.context = await stage_context(settings, stage, self.start.clock, stack, deadline_s=deadline_s)
        await self.clock_check.measure(self.context.connection, deadline_s)
        self.services = await _services(settings, stage, self.context, stack)
        self.clock_check.shown_in(self.services.metrics)
        handler = await _handler(settings, stage, self.context, self.services, stack, self.budgets)
        self.loader = await stack.enter_async_context(budget_loader(settings, self.context, self.budgets))
        config = _config(settings, stage, self.context)
        if self.at_terminal:
            config = replace(config, session_ms=SESSION_MS)
        worker = Worker(config, _under(self.context, handler), self.context.clock, self.services.metrics)
        self.budgets.owned, self.budgets.shards = lambda: len(worker.owned), self.context.layout.shards
        self.callbacks.worker(worker)
        await worker.start()
        stack.push_async_callback(worker.stop, settings.grace)
        return worker

    def reasons(self) -> list[str]:
        """Return the reasons, beside those of the worker, why the stage is not ready."""
        return self.start.reasons() + self.clock_check.reasons() + self.budgets.reasons()

    @property
    def ready(self) -> bool:
        """True if the stage serves its shards, with a usable clock."""
        return self.start.ready and not self.reasons()

    async def serve(self, worker: Worker, stop: asyncio.Event) -> None:
        """Run the worker until *stop*, its failure or the end of its layout, then drain."""
        context, services = self.context, self.services
        follower = services.tenant_follower
        async with asyncio.TaskGroup() as tasks:
            followers = [
                tasks.create_task(retry_forever(partial(context.registry.follow, context.reader))),
                tasks.create_task(retry_forever(services.admission_memory.follow)),
                *([tasks.create_task(retry_forever(services.controls.follow))] if services.controls else []),
                *([tasks.create_task(retry_forever(partial(follower.follow, worker)))] if follower else []),
                *([tasks.create_task(self.loader.follow())] if self.loader else []),
                tasks.create_task(_tell_ready(lambda: self.ready, self.callbacks.ready)),
                tasks.create_task(self.clock_check.follow(context.connection, MEASURE_S)),
            ]
            try:
                await _first(stop.wait(), worker.failed.wait(), context.layout_guard.ended())
            finally:
                await worker.stop(self.settings.grace)
            for task in followers:
                task.cancel()


async def _show(settings: Settings, stage_run: StageRun, stack: AsyncExitStack) -> None:
    """Serve the probes from now on: a stage that waits for Kafka is alive, and not ready."""
    if settings.http_port is None:
        return
    from ops.health import served  # noqa: PLC0415 - a worker without a port starts without a web server

    found = served(stage_run.start, settings.http_host, settings.http_port, stage_run.reasons)
    stage_run.callbacks.http(await stack.enter_async_context(found))


async def _first(*ends: Coroutine[Any, Any, object]) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(end) for end in ends]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()


def _stop_signal(names: Sequence[signal.Signals]) -> asyncio.Event:
    """Return an event that the first of these signals sets. A second one ends the process at once."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def asked() -> None:
        stop.set()
        for name in names:
            loop.remove_signal_handler(name)

    for name in names:
        loop.add_signal_handler(name, asked)
    return stop


async def _admissions_reader(context: StageContext, stack: AsyncExitStack) -> Reader:
    reader = await Reader.open(context.connection, (), name="headrace-admissions")
    stack.push_async_callback(reader.close)
    return reader


@dataclass(frozen=True, slots=True)
class StageServices:
    """The services of a stage beside its records: admission state, cancels, run controls, metrics and spans."""

    admission_memory: AdmissionMemory
    cancels: Cancels
    controls: RunControls | None
    tenant_follower: TenantFollower | None
    """The follower of tenants, for the stage that reads requests."""

    metrics: MetricStore
    tracing: Tracing


async def _services(settings: Settings, stage: str, context: StageContext, stack: AsyncExitStack) -> StageServices:
    cancels, metrics = Cancels(context.clock), _metrics(settings, stage, context.registry)
    admission_memory = AdmissionMemory(
        await _admissions_reader(context, stack),
        context.layout.shards,
        context.clock,
        metrics,
        context.registry.limit_of,
    )
    return StageServices(
        admission_memory=admission_memory,
        tenant_follower=await _follower(context, admission_memory, stack) if stage in INGRESS_STAGES else None,
        cancels=cancels,
        controls=await _controls(context, cancels, stack) if stage in CANCELLABLE else None,
        metrics=metrics,
        tracing=await stack.enter_async_context(
            tracing_of(settings, stage, process_name(), context.clock, metrics, context.layout.version)
        ),
    )


async def _follower(context: StageContext, admission_memory: AdmissionMemory, stack: AsyncExitStack) -> TenantFollower:
    admin = await Admin.open(context.connection, name="headrace-tenants")
    stack.push_async_callback(admin.close)
    shards = context.layout.shards
    return TenantFollower(context.registry, admission_memory, shards, admin.partition_counts, context.clock)


def _metrics(settings: Settings, stage: str, registry: TenantRegistry) -> MetricStore:
    named = [name.strip() for name in settings.metrics_tenants.split(",") if name.strip()]
    metrics = MetricStore(stage, named)
    metrics.tier_of = lambda tenant: known.tier if (known := registry.tenants.get(tenant)) else OTHER
    return metrics


async def _controls(context: StageContext, cancels: Cancels, stack: AsyncExitStack) -> RunControls:
    reader = await Reader.open(context.connection, (), name="headrace-control")
    stack.push_async_callback(reader.close)
    controls = RunControls(reader, context.seals, cancels)
    await controls.catch_up(context.clock.now_ms() - reach_ms(context.registry.tenants.values()))
    return controls


async def _handler(
    settings: Settings,
    stage: str,
    context: StageContext,
    services: StageServices,
    stack: AsyncExitStack,
    budgets: BudgetWatch,
) -> StageHandler:
    shards, clock = context.layout.shards, context.clock
    builder = RecordBuilder(stage, process_name(), context.seals, shards, clock, services.metrics, services.tracing)
    if stage == RETRIES:
        return RetryMover.of(builder, services.cancels).handler()
    text_work = await stack.enter_async_context(text_processes())
    pipelines = _pipelines(guard_registry(settings, text_work), context, services)
    if stage in GUARDED:
        await pipelines.warm()
    runs = await _runs(settings, stage, context, services, pipelines, budgets, stack)
    known = known_names(settings, runs.agents, runs.models, pipelines.registry.plugins)
    meter = AgentMetrics(services.metrics, known)
    steps = steps_of(context.registry, runs, services.cancels, pipelines)
    stage_found = JOURNEYS[context.layout.journey](steps).stage(stage)
    if stage_found is None:
        raise UsageError(f"the journey {context.layout.journey} has no stage {stage}")
    if stage_found.group == INGRESS_GROUP:
        counts = services.tenant_follower.counts if services.tenant_follower else {}
        return IngressStage(
            stage_found, builder, context.registry, services.admission_memory, counts=counts, meter=meter
        ).handler()
    weight, agents = _weights(settings, context.registry), runs.agents
    telemetry = SuspectTelemetry(meter, services.tracing.export, settings.capture_content)
    apart = isolated(settings, services.cancels, services.metrics, clock, telemetry) if agents else None
    return InnerStage(
        stage_found,
        builder,
        context.registry,
        RetryTiers(builder),
        settings.max_running,
        weight=weight,
        meter=meter,
        prepare_isolated=await stack.enter_async_context(apart) if apart else None,
        journal_identity=runs.journal.identity if runs.journal else None,
    ).handler()


async def _runs(
    settings: Settings,
    stage: str,
    context: StageContext,
    services: StageServices,
    pipelines: TenantPipelines,
    budgets: BudgetWatch,
    stack: AsyncExitStack,
) -> AgentServices:
    """Return the services of the worker's agents; no stage but the agent stage has any."""
    count, threads = services.metrics.count, _threads(settings, services.metrics)
    if stage != "agent":
        return AgentServices(agents=Agents(), models={}, threads=threads)
    odd, unpriced = partial(count, MODEL_FIELDS_DROPPED), partial(count, MODEL_CALLS_UNPRICED)
    opened = agent_services(
        settings, context.clock, agents_of(settings), threads, pipelines, budgets, odd=odd, unpriced=unpriced
    )
    return await stack.enter_async_context(opened)


def _threads(settings: Settings, metrics: MetricStore) -> ThreadPool:
    """Return the worker's threads for plain functions, shown in *metrics*."""
    threads = ThreadPool(settings.threads, abandoned=partial(metrics.count, THREADS_ABANDONED))

    def show() -> None:
        metrics.set(THREADS_RUNNING, threads.running)
        metrics.set(THREADS_OVERDUE, threads.overdue)

    metrics.look.append(show)
    return threads


def _pipelines(registry: GuardRegistry, context: StageContext, services: StageServices) -> TenantPipelines:
    """Return the tenants' pipelines, with the number of tenants whose guards cannot be used in the metrics."""
    pipelines, metrics = TenantPipelines(registry, context.clock), services.metrics

    def show() -> None:
        metrics.set(GUARD_SETTINGS_UNUSABLE, pipelines.count_unusable(context.registry.tenants))

    metrics.look.append(show)
    return pipelines


def _weights(settings: Settings, registry: TenantRegistry) -> Callable[[str], float]:
    """Return the function for a tenant's weight: that of its tier, as the registry has it now."""
    weights = settings.tier_weights

    def weight(tenant: str) -> float:
        known = registry.tenants.get(tenant)
        return weights.get(known.tier, 1.0) if known else 1.0

    return weight


def _under(context: StageContext, handler: StageHandler) -> StageHandler:
    """Return *handler* in the group of its layout, guarded so that shards open only while that layout is open."""
    group = versioned(handler.group, context.layout.version)
    load = context.layout_guard.guarding(handler.load_memory)
    return replace(handler, group=group, load_memory=load, blame=_blamed)


def _blamed(frame: FrameType) -> Mapping[str, object]:
    """Return log fields: the guard or the agent that a stack belongs to."""
    return blamed_guard(frame) or blamed_agent(frame)


def _config(settings: Settings, stage: str, context: StageContext) -> EngineConfig:
    return EngineConfig(
        connection=context.connection,
        layout=context.layout.version,
        name=client_name(stage, os.getpid()),
        transaction_deadline_s=settings.transaction_deadline,
        drain_s=settings.drain,
        grace_s=settings.grace,
        ends_blocked=True,
    )


async def _tell_ready(ready: Callable[[], bool], tell: Callable[[], None]) -> None:
    was_ready = False
    while True:
        now = ready()
        if now and not was_ready:
            tell()
        was_ready = now
        await asyncio.sleep(READY_POLL_S)
