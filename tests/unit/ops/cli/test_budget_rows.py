"""Budgets as people read them."""

from __future__ import annotations

from ops.cli.budget_rows import limit_rows, limited
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
