"""The rows of budgets for people."""

from __future__ import annotations

from ops.budgets.report import LimitUse
from schemas.budgets import Budgets, SpendLimits

COLUMNS = ("of", "limit", "used", "reserved", "amount", "share", "ends", "state")
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


def use_row(use: LimitUse, *, ledger: bool) -> tuple[str | None, ...]:
    """Return the cells of ``COLUMNS``; with *ledger* also its usage and the difference."""

    def cell(value: float | None) -> str | None:
        return None if value is None else amount(use.limit, value)

    difference = use.row()["difference"]
    return (
        f"{use.of} {use.name}" if use.name else NAMES[use.of],
        use.limit.replace("_", " "),
        cell(use.used),
        cell(use.reserved),
        cell(use.amount),
        None if use.share is None else f"{use.share:.0%}",
        None if use.ends is None else use.ends.isoformat(),
        use.state,
        *((cell(use.ledger), cell(difference)) if ledger else ()),
    )
