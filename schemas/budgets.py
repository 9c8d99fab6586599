"""The limits of what a tenant, each of its users and each of its agents may spend on model calls."""

from __future__ import annotations

from typing import Annotated, TypeAlias

from pydantic import Field

from schemas.models import Payload

Tokens: TypeAlias = Annotated[int, Field(gt=0)]
Usd: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class SpendLimits(Payload):
    """The limits of one spender. None means no limit. Days and months are those of UTC."""

    tokens_per_minute: Tokens | None = None
    """Input and output tokens. A call above the rate waits; a call that is larger than the limit is refused."""

    tokens_per_day: Tokens | None = None
    tokens_per_month: Tokens | None = None
    usd_per_day: Usd | None = None
    usd_per_month: Usd | None = None
    """US dollars, by the platform's price table."""

    @property
    def limited(self) -> bool:
        """True if any limit is set."""
        return any(getattr(self, name) is not None for name in type(self).model_fields)

    @property
    def periodic(self) -> bool:
        """True if a limit of a day or a month is set."""
        return self.model_copy(update={"tokens_per_minute": None}).limited


class Budgets(Payload):
    """The budgets of one tenant."""

    tenant: SpendLimits = SpendLimits()
    """For all of the tenant's runs together."""

    user: SpendLimits = SpendLimits()
    """For each caller by itself."""

    agent: SpendLimits = SpendLimits()
    """For each agent by itself. A handoff's calls count for the agent that makes them."""

    soft: Annotated[float, Field(gt=0, le=1)] = 0.8
    """The share of a daily or monthly limit at which an alert is raised. Only the whole limit refuses."""

    @property
    def limited(self) -> bool:
        """True if any limit is set."""
        return self.tenant.limited or self.user.limited or self.agent.limited

    @property
    def periodic(self) -> bool:
        """True if a limit of a day or a month is set: then usage is counted, and loaded from the ledger."""
        return self.tenant.periodic or self.user.periodic or self.agent.periodic
