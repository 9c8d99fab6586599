"""The errors of refused calls. They state the limit and the call's own size, and never what others have used."""

from __future__ import annotations

from consumers.agent.budget.port import BudgetSpent, LimitName, MustWait
from schemas.errors import BudgetExhaustedError, RateLimitedError
from schemas.usage import usd_of

RETRY_AFTER_S = 60.0
"""Seconds: a bucket is full again after a minute."""

_OWNERS = {
    "tenant": "the tenant's budget",
    "user": "the user's budget",
    "agent": "the agent's budget",
    "model": "the platform's limit for the model",
}


def exhausted(spent: BudgetSpent) -> BudgetExhaustedError:
    """Return the error for a call that the budget does not have, or never will have."""
    limit = f"{_OWNERS[spent.limit.kind]} of {_amount(spent.limit, spent.limit_amount)} a {spent.limit.period}"
    if not spent.too_large:
        return BudgetExhaustedError(f"{limit} is spent")
    need = _amount(spent.limit, spent.amount)
    return BudgetExhaustedError(f"the model call needs {need}, more than {limit}: shorten it, or raise the limit")


def waited(wait: MustWait, seconds: float) -> RateLimitedError:
    """Return the error for a call that has waited for too long."""
    message = f"the model call waited {seconds:g} s for {_OWNERS[wait.limit.kind]} of {wait.limit.measure}"
    return RateLimitedError(f"{message} a {wait.limit.period}", retry_after=RETRY_AFTER_S)


def _amount(limit: LimitName, amount: int) -> str:
    return f"{amount:,} tokens" if limit.measure == "tokens" else f"{usd_of(amount):,.6g} US dollars"
