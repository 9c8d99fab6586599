"""Build a platform from servers and stages: topics, tenants, a model, a page. Loaded while the broker boots."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops import logs, registry_writer
from ops.agent_check import names_of
from ops.connection import connection_of
from ops.dev.model import Found, model, scripted
from ops.dev.servers import KeptServer
from ops.dev.stages import Stages
from ops.dev.watch import Stamp, edits, stamp
from ops.errors import AgentsError, NoLayoutError
from ops.provision import Provision, Wish
from ops.settings import Settings
from ops.tenancy import Tenancy
from schemas.tenants import Layout, Limits, Tenant
from streams.transport.errors import UnknownTopicError

if TYPE_CHECKING:
    from ops.dev.page import Page
    from ops.dev.scenario_source import ScenarioSource
    from ops.embedded.localmodel import LocalModel


def tenants_of(agents: tuple[str, ...] = (), *, debug: bool = False) -> tuple[Tenant, Tenant]:
    """Return the tenants of a new platform; *agents* are the user's. ``globex`` may not call ``assistant``.

    With *debug*, requests have the longest deadline: a person may stop a run for minutes.
    """
    limits = Limits(default_deadline=Limits().max_deadline) if debug else Limits()
    return (
        Tenant(id="acme", name="Acme", agents=("assistant", "echo", *agents), interactive=True, limits=limits),
        Tenant(id="globex", name="Globex", agents=("echo", *agents), limits=limits),
    )


async def existing_layout(settings: Settings) -> Layout:
    """Return the layout of the cluster in *settings*. Raises NoLayoutError if it has none."""
    logs.configure(settings, command=True)
    try:
        layout = (await registry_writer.load(connection_of(settings))).layout
    except UnknownTopicError:
        layout = None
    if layout is None:
        raise NoLayoutError
    return layout


@dataclass(frozen=True, slots=True)
class DevSetup:
    """The setup of one cluster, started here or external."""

    settings: Settings
    """Settings to connect to the cluster."""

    tell: Callable[[str], None]
    """Called with each line for the person at the terminal."""

    external: bool = False
    """True if the cluster belongs to others: it is joined as it is."""

    def begin_logging(self) -> None:
        """Configure logging: a library's lines while the broker starts and stops stay off the terminal."""
        logs.configure(self.settings, command=True)

    async def prepare(self, wish: Wish, agents: tuple[str, ...], *, debug: bool = False) -> tuple[Tenant, ...]:
        """Create topics and tenants, and return the tenants, which may call *agents*.

        Those of an external cluster are returned as they are.
        """
        tenants = tenants_of(agents, debug=debug)
        if self.external:
            return tuple((await self._tenancy.all()).values())
        await Provision(connection_of(self.settings), self.settings, wish).apply()
        await self._tenancy.put(*tenants)
        return tenants

    def model(self, local: KeptServer[LocalModel] | None) -> AbstractAsyncContextManager[Found]:
        """Return the context manager that yields the model."""
        return model(self.settings, local, self.tell)

    def scripted(self, source: ScenarioSource, *, reload: bool) -> AbstractAsyncContextManager[Found]:
        """Return the context manager that yields a scripted model."""
        return scripted(source, self.tell, reload=reload)

    def page(self, stages: Stages) -> Page:
        """Return the pages shown over HTTP."""
        from ops.dev.page import Page  # noqa: PLC0415 - a web server, for which nothing else waits

        return Page(stages.waiting, stages.health)

    async def served(self, tenants: tuple[Tenant, ...]) -> None:
        """Wait until the admission controller serves each tenant. Others answer for those of an external cluster."""
        if not self.external:
            await self._tenancy.served(*tenants)

    async def seen(self) -> Stamp:
        """Return the stamp of the agents' files. Take it before a stage loads them, so that no edit is missed."""
        return await asyncio.to_thread(stamp, self.settings.agents) if self.settings.agents else frozenset()

    async def reloads(self, seen: Stamp) -> AsyncIterator[None]:
        """Yield each time that the agents must be reloaded: the tenants may then call the current ones."""
        async for _ in edits(self.settings.agents or "", seen):
            try:
                await self._allow(await names_of(self.settings.agents))
            except AgentsError as error:
                self.tell(f"{error}; the agents stay as they were")
            else:
                self.tell("the agents have changed, loading them anew")
                yield

    async def _allow(self, agents: tuple[str, ...]) -> None:
        if not self.external:
            await self._tenancy.put(*tenants_of(agents))

    @property
    def _tenancy(self) -> Tenancy:
        return Tenancy(connection_of(self.settings), self.settings)
