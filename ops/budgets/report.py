"""The state of a tenant's budgets: of each limit, its usage, its share and its state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal, NamedTuple, TypeAlias

from consumers.agent.budget.port import BudgetUse, Spender
from ops.budgets.sums import AccountSums
from schemas.budgets import Budgets, SpendLimits
from schemas.usage import usd_of

LimitState: TypeAlias = Literal["ok", "soft", "exhausted", "rebuilding", ""]


class LimitUse(NamedTuple):
    """The usage of one limit. Amounts are tokens or US dollars; None if they are not known."""

    of: str
    name: str
    """The user or the agent; empty for the tenant, and for the limit of each user or agent."""

    limit: str
    amount: float
    used: float | None = None
    reserved: float | None = None
    ends: date | None = None
    """The day of UTC on which the period ends, at its start."""

    state: LimitState = ""
    ledger: float | None = None
    """The usage by the ledger."""

    @property
    def share(self) -> float | None:
        """The used share of the limit."""
        return None if self.used is None else self.used / self.amount

    def row(self) -> dict[str, Any]:
        """Return the limit's usage with names, for JSON."""
        difference = None if self.used is None or self.ledger is None else self.used - self.ledger
        return {**self._asdict(), "share": self.share, "difference": difference}


@dataclass(frozen=True, slots=True)
class BudgetReport:
    """The budgets of one tenant with the counts of the store."""

    budgets: Budgets
    uses: Mapping[Spender, BudgetUse]
    """The counts of each spender to show; empty without a store."""

    loaded: bool = True
    names: Mapping[Spender, str] | None = None
    """The subjects of users."""

    ledger: AccountSums | None = None

    def limits(self) -> Iterator[LimitUse]:
        """Yield each limit of each spender; a limit whose spenders are not shown once, without usage."""
        for kind in ("tenant", "user", "agent"):
            limits: SpendLimits = getattr(self.budgets, kind)
            shown = [use for spender, use in self.uses.items() if spender.kind == kind]
            for name, amount in limits:
                if amount is None:
                    continue
                if not shown or name.endswith("_minute"):
                    yield LimitUse(kind, "", name, amount)
                else:
                    yield from (self._use(use, name, amount) for use in shown)

    def _use(self, use: BudgetUse, limit: str, amount: float) -> LimitUse:
        used, reserved = _amounts(use, limit)
        name = (self.names or {}).get(use.spender, use.spender.name)
        return LimitUse(
            use.spender.kind,
            name,
            limit,
            amount,
            used,
            reserved,
            ends=_end(use.day, limit),
            state=self._state(used, amount),
            ledger=self._in_ledger(use, limit),
        )

    def _state(self, used: float, amount: float) -> LimitState:
        if not self.loaded:
            return "rebuilding"
        if used >= amount:
            return "exhausted"
        return "soft" if used >= self.budgets.soft * amount else "ok"

    def _in_ledger(self, use: BudgetUse, limit: str) -> float | None:
        if self.ledger is None:
            return None
        measure, _, period = limit.partition("_per_")
        start = use.day if period == "day" else use.day.replace(day=1)
        found = self.ledger.charge(use.spender, (period, start))
        return found.tokens if measure == "tokens" else usd_of(found.pico)


def _amounts(use: BudgetUse, limit: str) -> tuple[float, float]:
    """Return the used and the reserved amount."""
    match limit:
        case "tokens_per_day":
            return use.day_tokens, use.held_tokens
        case "tokens_per_month":
            return use.month_tokens, use.held_tokens
        case "usd_per_day":
            return usd_of(use.day_pico), usd_of(use.held_pico)
        case _:
            return usd_of(use.month_pico), usd_of(use.held_pico)


def _end(day: date, limit: str) -> date:
    if limit.endswith("_day"):
        return day + timedelta(days=1)
    return (day.replace(day=28) + timedelta(days=4)).replace(day=1)
