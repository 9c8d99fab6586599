"""The claims of one model call: on the tenant's account, and on the platform's for the provider's limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from consumers.agent.budget.call_size import SizeEstimate
from consumers.agent.budget.port import TENANT, CallLimits, Claim, Spender, user_spender
from consumers.agent.models.port import ModelRequest
from consumers.agent.seams import StepScope
from schemas.budgets import Budgets, SpendLimits
from schemas.keys import PLATFORM
from schemas.usage import pico_of

MOST_PICO = 9_000_000_000_000_000_000
"""The largest limit in picodollars: nine million dollars. Valkey counts in 64-bit integers."""

SETTLED_WITHIN_MS = 60_000
"""Milliseconds after the run's deadline in which its last call is settled."""

EVERY_MODEL = "*"
"""The name of the provider's limit for each model that has none of its own."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Makes the claims of calls."""

    size: SizeEstimate = field(default_factory=SizeEstimate)
    models: Mapping[str, int] = field(default_factory=dict[str, int])
    """Tokens per minute of all tenants together, by the provider's name of the model."""

    def of(self, request: ModelRequest, model: str, scope: StepScope, call: str) -> list[Claim]:
        """Return the claims of a call, that of the tenant first. None if no limit applies."""
        budgets, most = scope.run.tenant.budgets, self.models.get(model, self.models.get(EVERY_MODEL))
        if not budgets.limited and most is None:
            return []
        found: list[tuple[str, tuple[CallLimits, ...]]] = []
        if budgets.limited:
            found.append((scope.run.tenant.id, tenant_limits(budgets, scope)))
        if most is not None:
            found.append((PLATFORM, (CallLimits(Spender("model", model), minute_tokens=most),)))
        run = scope.run
        return [
            Claim(
                account=account,
                call=f"{run.run_id}/{run.attempt}/{call}",
                limits=limits,
                size=self.size(request, model),
                soft=budgets.soft,
                call_ms=int(run.remaining() * 1_000) + SETTLED_WITHIN_MS,
            )
            for account, limits in found
        ]


def tenant_limits(budgets: Budgets, scope: StepScope) -> tuple[CallLimits, ...]:
    """Return the limits of a call's user, agent and tenant. All three are counted, limited or not."""
    user = user_spender(scope.run.issuer, scope.run.subject)
    return (
        limits_of_spender(user, budgets.user),
        limits_of_spender(Spender("agent", scope.run.agent), budgets.agent),
        limits_of_spender(TENANT, budgets.tenant),
    )


def limits_of_spender(spender: Spender, limits: SpendLimits) -> CallLimits:
    """Return the limits of a tenant's record for one spender."""
    return CallLimits(
        spender,
        limits.tokens_per_minute,
        limits.tokens_per_day,
        limits.tokens_per_month,
        _pico(limits.usd_per_day),
        _pico(limits.usd_per_month),
    )


def _pico(usd: float | None) -> int | None:
    return None if usd is None else min(MOST_PICO, pico_of(min(usd, MOST_PICO / 1e12)))
