"""Add, change and remove tenants: write their records, then create the topics that the records name."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ops import registry_writer
from ops.errors import NoLayoutError, NotDrainedError, NotServedError, TenantExistsError, UnknownTenantError
from ops.open_admissions import open_admissions
from ops.registry_writer import Entry
from ops.settings import Settings
from ops.topology import Topology, copies_of
from schemas.clock import SystemClock
from schemas.guards import TenantGuards
from schemas.records import Partition
from schemas.tenants import Tenant
from streams.journey import ingress_group
from streams.registry.tenants import TenantRegistry
from streams.stages.ingress import ingress_partitions, ingress_topics
from streams.transport.admin import Admin
from streams.transport.connection import Connection

NAME = "headrace-tenancy"
SERVED_S = 20.0
"""Seconds that a tenant may take to be served: a worker that has died keeps its shards for some seconds."""
LOOK_S = 0.1
QUIET_S = 1.5
"""Seconds without an open admission after which a removed tenant is drained. Stages learn of a removal within a second.
"""


@dataclass(frozen=True, slots=True)
class Tenancy:
    """The tenants of one cluster."""

    connection: Connection
    settings: Settings

    async def all(self) -> dict[str, Tenant]:
        """Return every tenant, sorted by name."""
        registry = await registry_writer.load(self.connection)
        return dict(sorted(registry.tenants.items()))

    async def one(self, name: str) -> Tenant:
        """Return one tenant. Raises UnknownTenantError."""
        registry = await registry_writer.load(self.connection)
        if name not in registry.tenants:
            raise UnknownTenantError(name)
        return registry.tenants[name]

    async def add(self, tenant: Tenant) -> None:
        """Register a tenant. Accept one that exists and is equal, and admit a removed one again.

        Raises TenantExistsError, NoLayoutError.
        """
        await self._write([tenant], _unless_another)

    async def put(self, *tenants: Tenant) -> None:
        """Register these tenants, or replace their records."""
        await self._write(tenants, _always)

    async def alter(self, name: str, change: Callable[[Tenant], Tenant]) -> Tenant:
        """Replace a tenant's record by what *change* returns for the current record, and return it.

        Raises UnknownTenantError, InvalidError for guard settings that cannot be used, and the errors of *change*. A
        concurrent writer makes *change* run again.
        """
        altered: list[Tenant] = []

        def decide(registry: TenantRegistry) -> list[Entry]:
            if name not in registry.tenants:
                raise UnknownTenantError(name)
            altered[:] = [change(registry.tenants[name])]
            if altered[0].guards != registry.tenants[name].guards:
                self._check_guards(altered[0])
            return [tenant for tenant in altered if tenant != registry.tenants[name]]

        registry = await registry_writer.change(self.connection, decide)
        await self._create_topics(registry, altered)
        return altered[0]

    async def remove(self, name: str) -> None:
        """Stop admission of a tenant; a removed one is accepted. Topics and data remain. Raises UnknownTenantError."""
        await self.alter(name, lambda tenant: tenant.model_copy(update={"state": "removed"}))

    async def drained(self, name: str, within: float, tell: Callable[[int], None]) -> None:
        """Wait until no request of the tenant is admitted and not closed, in every look of ``QUIET_S`` seconds.

        *tell* is called with the count whenever it changes. Raises NotDrainedError after *within* seconds.
        """
        layout = (await registry_writer.load(self.connection)).layout
        if layout is None:
            raise NoLayoutError
        told, quiet_since, clock = 0, 0.0, SystemClock()
        end = clock.monotonic() + within
        async with open_admissions(self.connection, name, layout.shards) as admissions:
            while True:
                running, now = len(await admissions.read()), clock.monotonic()
                quiet_since = 0.0 if running else quiet_since or now
                if quiet_since and now - quiet_since >= QUIET_S:
                    return
                if running and now >= end:
                    raise NotDrainedError(name, running, within)
                if running != told:
                    tell(told := running)
                await asyncio.sleep(LOOK_S)

    def _check_guards(self, tenant: Tenant) -> None:
        """Raise InvalidError for guard settings that cannot be used. Most tenants have none, and load no guard."""
        if tenant.guards != TenantGuards():
            from ops.guard_settings import check_guards  # noqa: PLC0415 - the guards take half a second to import

            check_guards(self.settings, tenant)

    async def _write(self, tenants: Sequence[Tenant], accept: Callable[[TenantRegistry, Tenant], bool]) -> None:
        """Write records before topics: of two that write at once, one fails before it creates a topic."""

        def decide(registry: TenantRegistry) -> list[Entry]:
            if registry.layout is None:
                raise NoLayoutError
            changed = [tenant for tenant in tenants if accept(registry, tenant) and _differs(registry, tenant)]
            for tenant in changed:
                self._check_guards(tenant)
            return [*changed]

        await self._create_topics(await registry_writer.change(self.connection, decide), tenants)

    async def _create_topics(self, registry: TenantRegistry, tenants: Sequence[Tenant]) -> None:
        """Create the missing topics, also for equal records: the writer of a record may have died before.

        A removed tenant's topics stay as they are.
        """
        if registry.layout is None:
            raise NoLayoutError
        async with await Admin.open(self.connection, name=NAME) as admin:
            topology = Topology(registry.layout, copies_of(self.settings, await admin.registered_brokers()))
            active = [tenant for tenant in tenants if tenant.state == "active"]
            wanted = {spec.name: spec for tenant in active for spec in topology.of(tenant)}
            created = await admin.create_topics(wanted.values())
            await _grow(admin, {name: wanted[name].partitions for name, new in created.items() if not new})

    async def served(self, *tenants: Tenant, within: float = SERVED_S) -> None:
        """Wait until the admission controller serves each tenant. Raises NotServedError after *within* seconds."""
        group = ingress_group((await registry_writer.load(self.connection)).layout)
        waiting = {tenant.id: ingress_partitions(tenant) for tenant in tenants}
        try:
            async with asyncio.timeout(within), await Admin.open(self.connection, name=NAME) as admin:
                counts = await admin.partition_counts([topic for each in tenants for topic in ingress_topics(each)])
                waiting = {each.id: ingress_partitions(each, counts) for each in tenants}
                while waiting := await _unserved(admin, group, waiting):  # noqa: ASYNC110 - Kafka tells nobody of an offset
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise NotServedError(next(iter(waiting)), within) from None


def _unless_another(registry: TenantRegistry, tenant: Tenant) -> bool:
    """Return True, or raise TenantExistsError. A removed tenant keeps only its partitions."""
    existing = registry.tenants.get(tenant.id, tenant)
    if existing.state == "removed":
        existing = tenant.model_copy(update={"partitions": existing.partitions})
    if existing != tenant:
        raise TenantExistsError(tenant.id)
    return True


def _always(_registry: TenantRegistry, _tenant: Tenant) -> bool:
    return True


def _differs(registry: TenantRegistry, tenant: Tenant) -> bool:
    return registry.tenants.get(tenant.id) != tenant


async def _grow(admin: Admin, wanted: Mapping[str, int]) -> None:
    """Add the partitions that existing topics lack, for example because they were created by hand."""
    found = await admin.partition_counts(wanted.keys()) if wanted else {}
    await admin.add_partitions({name: count for name, count in wanted.items() if 0 < found.get(name, 0) < count})


async def _unserved(
    admin: Admin, group: str, waiting: dict[str, frozenset[Partition]]
) -> dict[str, frozenset[Partition]]:
    """Return the tenants with a partition that has no offset.

    Only the shard that opens a tenant's admission controller commits it.
    """
    asked = [partition for partitions in waiting.values() for partition in partitions]
    committed = await admin.committed(group, asked)
    return {name: partitions for name, partitions in waiting.items() if partitions - committed.keys()}
