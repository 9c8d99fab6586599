"""What makes a platform of servers and stages: topics, tenants, a model, a page. Loaded while the broker boots."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ops import logs
from ops.connection import connection_of
from ops.dev.agents import names_of
from ops.dev.model import Found, model
from ops.dev.servers import Kept
from ops.dev.watch import edits
from ops.errors import StackError
from ops.provision import Provision, Wish
from ops.settings import Settings
from ops.tenancy import Tenancy
from schemas.tenants import Tenant

if TYPE_CHECKING:
    from ops.dev.page import Page
    from ops.embedded.localmodel import LocalModel


def tenants_of(agents: tuple[str, ...] = ()) -> tuple[Tenant, Tenant]:
    """Those that a new platform begins with; *agents* are the user's. ``globex`` may not call ``assistant``."""
    return (
        Tenant(id="acme", name="Acme", agents=("assistant", "echo", *agents), interactive=True),
        Tenant(id="globex", name="Globex", agents=("echo", *agents)),
    )


@dataclass(frozen=True, slots=True)
class Setup:
    """One cluster that has been started, or was there."""

    settings: Settings
    """With which it is reached."""

    tell: Callable[[str], None]
    """Takes a line for the person at the terminal."""

    def begin_logging(self) -> None:
        """What a library says while the broker comes and goes is not for the terminal."""
        logs.configure(self.settings, command=True)

    async def prepare(self, wish: Wish) -> tuple[Tenant, ...]:
        """Make topics and tenants; who they are."""
        tenants = tenants_of(await self._agents())
        await Provision(connection_of(self.settings), self.settings, wish).apply()
        await self._tenancy.put(*tenants)
        return tenants

    def model(self, local: Kept[LocalModel] | None) -> AbstractAsyncContextManager[Found]:
        """The model, for as long as the block."""
        return model(self.settings, local, self.tell)

    def page(self, waiting: Callable[[], list[str]]) -> Page:
        """What is shown over HTTP; *waiting* says what is not ready."""
        from ops.dev.page import Page  # noqa: PLC0415 - a web server, for which nothing else waits

        return Page(waiting)

    async def served(self, tenants: tuple[Tenant, ...]) -> None:
        """Wait until each has an open door."""
        await self._tenancy.served(*tenants)

    async def reloads(self) -> AsyncIterator[None]:
        """One item each time that the agents are to be loaded anew: the tenants may call those that there are now."""
        async for _ in edits(self.settings.agents or ""):
            try:
                await self._tenancy.put(*tenants_of(await self._agents()))
            except StackError as error:
                self.tell(f"{error}; the agents stay as they were")
            else:
                self.tell("the agents have changed, loading them anew")
                yield

    async def _agents(self) -> tuple[str, ...]:
        return await names_of(self.settings.agents) if self.settings.agents else ()

    @property
    def _tenancy(self) -> Tenancy:
        return Tenancy(connection_of(self.settings), self.settings)
