"""The budget of a worker without a store: it refuses the calls of tenants with limits."""

from __future__ import annotations

from dataclasses import dataclass, field

import structlog

from consumers.agent.models.port import ModelRequest
from consumers.agent.seams import Reservation, StepScope, unreserved
from schemas.errors import BudgetUnavailableError

LOGGED_LIMIT = 1_000

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Uncounted:
    """Passes the calls of tenants without limits."""

    logged: set[str] = field(default_factory=set[str])
    """The tenants whose refusal was logged."""

    async def __call__(self, request: ModelRequest, model: str, scope: StepScope, call: str) -> Reservation:  # noqa: ARG002 - the seam's arguments
        """Reserve nothing. Raise BudgetUnavailableError for a tenant with limits."""
        tenant = scope.run.tenant
        if not tenant.budgets.limited:
            return unreserved(scope)
        if tenant.id not in self.logged and len(self.logged) < LOGGED_LIMIT:
            self.logged.add(tenant.id)
            log.error("budget_store_missing", tenant=tenant.id, next="set HEADRACE_VALKEY_URL for this worker")
        raise BudgetUnavailableError("the tenant has budgets, and this worker has no Valkey to count them in")
