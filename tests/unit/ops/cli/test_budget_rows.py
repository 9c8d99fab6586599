"""Budgets as people read them."""

from __future__ import annotations

from datetime import date

from ops.budgets.report import LimitUse
from ops.cli.budget_rows import limit_rows, limited, use_row
from schemas.budgets import Budgets, SpendLimits

BUDGETS = Budgets(tenant=SpendLimits(tokens_per_day=5_000_000), agent=SpendLimits(usd_per_month=0.5))


def test_each_limit_is_one_row_with_its_unit() -> None:
    """A limit that is not set has none."""
    assert limit_rows(BUDGETS) == [
        ("tenant", "tokens per day", "5,000,000"),
        ("each agent", "usd per month", "$0.50"),
    ]
    assert limit_rows(Budgets()) == []


def test_a_list_of_tenants_names_the_limited_spenders() -> None:
    """An operator looks for tenants without a budget."""
    assert (limited(BUDGETS), limited(Budgets())) == ("tenant, each agent", "")


def test_a_row_has_the_usage_and_on_request_the_ledgers() -> None:
    """A limit whose spenders are not shown has its amount alone."""
    use = LimitUse("user", "ann", "usd_per_day", 2.0, 1.5, 0.25, date(2030, 1, 2), "ok", 1.25)

    assert use_row(use, ledger=False) == (
        "user ann",
        "usd per day",
        "$1.50",
        "$0.25",
        "$2.00",
        "75%",
        "2030-01-02",
        "ok",
    )
    assert use_row(use, ledger=True)[-2:] == ("$1.25", "$0.25")
    assert use_row(LimitUse("agent", "", "tokens_per_minute", 1_000), ledger=False) == (
        "each agent",
        "tokens per minute",
        None,
        None,
        "1,000",
        None,
        None,
        "",
    )
