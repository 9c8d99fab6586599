"""The rows of budgets for people."""

from __future__ import annotations

from schemas.budgets import Budgets, SpendLimits

NAMES = {"tenant": "tenant", "user": "each user", "agent": "each agent"}


def limited(budgets: Budgets) -> str:
    """Return the spenders with a limit, such as ``tenant, each user``; empty if none has."""
    return ", ".join(name for field, name in NAMES.items() if getattr(budgets, field).limited)


def limit_rows(budgets: Budgets) -> list[tuple[str, str, str]]:
    """Return spender, limit and amount of each limit that is set."""
    return [
        (spender, name.replace("_", " "), amount(name, value))
        for field, spender in NAMES.items()
        for name in SpendLimits.model_fields
        if (value := getattr(getattr(budgets, field), name)) is not None
    ]


def amount(limit: str, value: float) -> str:
    """Return an amount of the limit's unit."""
    return f"${value:,.2f}" if limit.startswith("usd") else f"{value:,.0f}"
