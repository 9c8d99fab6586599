"""Run one stage in one process, from the settings to a drained stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import structlog

from consumers.agent.registry import Registry as Agents
from consumers.resilience.cancel import Cancels
from ops.agents import agents_of, models_of
from ops.errors import LayoutMovingError, OperationError, UsageError
from ops.following import persistently
from ops.ground import Ground, found
from ops.isolation.step import isolated
from ops.names import client_name, process_name
from ops.settings import Settings
from ops.telemetry import tracing_of
from ops.tuning import tune
from ops.wiring import steps_of
from schemas.clock import Clock
from streams.controls import RunControls, reach_ms
from streams.doors import Doors
from streams.journey import ENTRY_GROUP, JOURNEYS, RETRIES, versioned
from streams.measures import OTHER, Metrics
from streams.outbox import Outbox
from streams.parameters import Parameters
from streams.registry import Registry
from streams.spans import Tracing
from streams.stages.entry import EntryStage
from streams.stages.hop import HopStage
from streams.stages.retrying import RetryMover, RetryTiers
from streams.tenure import Tenure
from streams.transport.errors import TransportError
from streams.transport.reader import Reader
from streams.work import Work
from streams.worker import Worker

log = structlog.get_logger()

STAGES = ("auth", "guard", "admission", "agent", RETRIES)
CANCELLABLE = ("agent", RETRIES)
"""Stages that can cancel a run after admission: where it runs, and where it waits for its retry."""

READY_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class Told:
    """Callbacks for the parent of a stage; by default, each does nothing."""

    ready: Callable[[], None] = lambda: None
    """Called when every owned shard is open: at the start, and after each change of the group."""

    http: Callable[[str], None] = lambda _: None
    """Called with the address of the stage's health and metrics, if it has one."""

    worker: Callable[[Worker], None] = lambda _: None
    """Called with the worker before it starts."""


async def run_stage(
    settings: Settings, stage: str, told: Told, clock: Clock, stop: asyncio.Event | None = None
) -> None:
    """Run *stage* until *stop* (SIGTERM or SIGINT if None), then drain.

    Raises OperationError if it cannot run, or cannot go on.
    """
    if stage not in STAGES:
        raise UsageError(f"no stage is called {stage}: there are {', '.join(STAGES)}")
    stop = stop or _stop_signal()
    async with AsyncExitStack() as stack:
        ground = await found(settings, stage, clock, stack)
        beside = await _beside(settings, stage, ground, stack)
        work = _under(ground, await _work(settings, stage, ground, beside, stack))
        worker = Worker(_parameters(settings, stage, ground), work, ground.clock, beside.metrics)
        told.worker(worker)
        await _show(settings, worker, told, stack)
        tune()
        try:
            async with asyncio.TaskGroup() as tasks:
                followers = [
                    tasks.create_task(persistently(partial(ground.registry.follow, ground.reader))),
                    tasks.create_task(persistently(beside.doors.follow)),
                    *([tasks.create_task(persistently(beside.controls.follow))] if beside.controls else []),
                    tasks.create_task(_keep_partitions(worker, ground.registry)),
                    tasks.create_task(_tell_ready(worker, told.ready)),
                ]
                await _serve(worker, stop, ground.tenure, settings.grace)
                for task in followers:
                    task.cancel()
        except* TransportError as errors:
            raise OperationError(f"stage {stage}: {errors.exceptions[0]}") from errors
    if worker.fatal is not None:
        raise OperationError(f"stage {stage} cannot go on: {worker.fatal}")
    if ground.tenure.over and not stop.is_set():
        raise LayoutMovingError(ground.registry.layout)


async def _show(settings: Settings, worker: Worker, told: Told, stack: AsyncExitStack) -> None:
    if settings.http_port is None:
        return
    from ops.health import served  # noqa: PLC0415 - a worker without a port starts without a web server

    told.http(await stack.enter_async_context(served(worker, settings.http_host, settings.http_port)))


async def _serve(worker: Worker, stop: asyncio.Event, tenure: Tenure, grace: float) -> None:
    try:
        await worker.start()
        await _first(stop.wait(), worker.failed.wait(), tenure.ended())
    finally:
        await worker.stop(grace)


async def _first(*ends: Coroutine[Any, Any, object]) -> None:
    async with asyncio.TaskGroup() as group:
        waiting = [group.create_task(end) for end in ends]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()


def _stop_signal() -> asyncio.Event:
    """Return an event that the first SIGTERM or SIGINT sets. A second one ends the process at once."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def asked() -> None:
        stop.set()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(name)

    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, asked)
    return stop


async def _inbox_reader(ground: Ground, stack: AsyncExitStack) -> Reader:
    reader = await Reader.open(ground.connection, (), name="headrace-inbox")
    stack.push_async_callback(reader.close)
    return reader


@dataclass(frozen=True, slots=True)
class Beside:
    """The services of a stage beside its records: admission state, cancels, run controls, metrics and spans."""

    doors: Doors
    cancels: Cancels
    controls: RunControls | None
    metrics: Metrics
    tracing: Tracing


async def _beside(settings: Settings, stage: str, ground: Ground, stack: AsyncExitStack) -> Beside:
    cancels, metrics = Cancels(ground.clock), _metrics(settings, stage, ground.registry)
    return Beside(
        doors=Doors(
            await _inbox_reader(ground, stack), ground.layout.shards, ground.clock, metrics, ground.registry.spoils
        ),
        cancels=cancels,
        controls=await _controls(ground, cancels, stack) if stage in CANCELLABLE else None,
        metrics=metrics,
        tracing=await stack.enter_async_context(
            tracing_of(settings, stage, process_name(), ground.clock, metrics, ground.layout.version)
        ),
    )


def _metrics(settings: Settings, stage: str, registry: Registry) -> Metrics:
    named = [name.strip() for name in settings.metrics_tenants.split(",") if name.strip()]
    metrics = Metrics(stage, named)
    metrics.tier_of = lambda tenant: known.tier if (known := registry.tenants.get(tenant)) else OTHER
    return metrics


async def _controls(ground: Ground, cancels: Cancels, stack: AsyncExitStack) -> RunControls:
    reader = await Reader.open(ground.connection, (), name="headrace-control")
    stack.push_async_callback(reader.close)
    controls = RunControls(reader, ground.seals, cancels)
    await controls.catch_up(ground.clock.now_ms() - reach_ms(ground.registry.tenants.values()))
    return controls


async def _work(settings: Settings, stage: str, ground: Ground, beside: Beside, stack: AsyncExitStack) -> Work:
    shards, clock = ground.layout.shards, ground.clock
    outbox = Outbox(stage, process_name(), ground.seals, shards, clock, beside.metrics, beside.tracing)
    if stage == RETRIES:
        return RetryMover.of(outbox, beside.cancels).work()
    models = await stack.enter_async_context(models_of(settings, ground.clock)) if stage == "agent" else {}
    agents = agents_of(settings) if stage == "agent" else Agents()
    found = JOURNEYS[ground.layout.journey](steps_of(ground.registry, agents, models, beside.cancels)).stage(stage)
    if found is None:
        raise UsageError(f"the journey {ground.layout.journey} has no stage {stage}")
    if found.group == ENTRY_GROUP:
        return EntryStage(found, outbox, ground.registry, beside.doors).work()
    weight = _weights(settings, ground.registry)
    apart = await stack.enter_async_context(isolated(settings, beside.cancels, beside.metrics)) if agents else None
    return HopStage(
        found, outbox, ground.registry, RetryTiers(outbox), settings.max_running, weight=weight, apart=apart
    ).work()


def _weights(settings: Settings, registry: Registry) -> Callable[[str], float]:
    """Return the function for a tenant's weight: that of its tier, as the registry has it now."""
    weights = settings.tier_weights

    def weight(tenant: str) -> float:
        known = registry.tenants.get(tenant)
        return weights.get(known.tier, 1.0) if known else 1.0

    return weight


def _under(ground: Ground, work: Work) -> Work:
    """Return *work* in the group of its layout, guarded so that shards open only while that layout is open."""
    group = versioned(work.group, ground.layout.version)
    return replace(work, group=group, remember=ground.tenure.guarding(work.remember))


def _parameters(settings: Settings, stage: str, ground: Ground) -> Parameters:
    return Parameters(
        connection=ground.connection,
        layout=ground.layout.version,
        name=client_name(stage, os.getpid()),
        transaction_deadline_s=settings.transaction_deadline,
        drain_s=settings.drain,
        grace_s=settings.grace,
    )


async def _keep_partitions(worker: Worker, registry: Registry) -> None:
    """Repartition the worker after each registry change: a new tenant is a local assignment, not a rebalance."""
    seen = registry.version
    while True:
        if seen == registry.version:
            await registry.changed()
        seen = registry.version
        await worker.repartition()


async def _tell_ready(worker: Worker, ready: Callable[[], None]) -> None:
    told = False
    while True:
        if worker.ready and not told:
            ready()
        told = worker.ready
        await asyncio.sleep(READY_POLL_S)
