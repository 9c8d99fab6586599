"""The pipeline of each tenant, built from its record when it is first needed."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import structlog

from consumers.guard.pipeline import Pipeline
from consumers.guard.registry import GuardConfigError, GuardRegistry
from schemas.errors import GuardUnavailableError
from schemas.guards import TenantGuards
from schemas.tenants import Tenant

KEPT: Final = 1_024
"""Tenants whose newest pipeline is kept."""

log = structlog.get_logger()


class TenantPipelines:
    """Pipelines by tenant. A tenant whose record becomes unusable keeps its last good pipeline."""

    def __init__(self, registry: GuardRegistry) -> None:
        self._registry = registry
        self._of: OrderedDict[str, tuple[TenantGuards, Pipeline]] = OrderedDict()

    async def __call__(self, tenant: Tenant) -> Pipeline:
        """Return the pipeline for the tenant's record. Raise GuardUnavailableError if it never had a usable one."""
        known = self._of.get(tenant.id)
        if known is not None and known[0] == tenant.guards:
            return known[1]
        try:
            pipeline = self._registry.pipeline(tenant.guards)
        except GuardConfigError as error:
            log.error("guards_unusable", tenant=tenant.id, error=str(error), kept=known is not None)  # noqa: TRY400
            if known is not None:
                return known[1]
            raise GuardUnavailableError("the tenant's guards cannot be used: its record must be corrected") from error
        self._of[tenant.id] = tenant.guards, pipeline
        self._of.move_to_end(tenant.id)
        if len(self._of) > KEPT:
            self._of.popitem(last=False)
        return pipeline
