"""Warn of topics with fewer than three copies: a broker that loses its disk takes their records with it."""

from __future__ import annotations

import structlog

from ops.topology import COPIES, Topology
from schemas.tenants import Layout
from streams.registry.tenants import TenantRegistry
from streams.transport.admin import Admin

SHOWN = 5
"""Topics that the log line names."""

log = structlog.get_logger()


async def warn_of_few_copies(admin: Admin, registry: TenantRegistry) -> None:
    """Log a warning if a topic of the platform or of a tenant has fewer than three copies."""
    topology = Topology(registry.layout or Layout(), COPIES)
    wanted = [*topology.platform(), *(spec for tenant in registry.tenants.values() for spec in topology.of(tenant))]
    found = await admin.copies([spec.name for spec in wanted])
    few = sorted(name for name, copies in found.items() if copies < COPIES)
    if not few:
        return
    log.warning(
        "few_copies_found",
        topics=len(few),
        first=few[:SHOWN],
        copies=min(found[name] for name in few),
        wanted=COPIES,
        brokers=await admin.registered_brokers(),
        next_step="add brokers until there are three, then give these topics three copies"
        " (kafka-reassign-partitions.sh); `headrace topics plan` shows them",
    )
