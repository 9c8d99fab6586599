"""Changes of budgets in a tenant's record."""

from __future__ import annotations

import pytest

from ops.budgets.changes import with_budgets
from ops.errors import InvalidError
from schemas.budgets import Budgets, SpendLimits
from schemas.tenants import Tenant

ACME = Tenant(
    id="acme",
    budgets=Budgets(tenant=SpendLimits(tokens_per_day=10, usd_per_month=5), user=SpendLimits(tokens_per_day=3)),
)


def test_limits_that_are_not_named_stay() -> None:
    """Those of other spenders too."""
    changed = with_budgets(ACME, "tenant", {"tokens_per_day": None, "tokens_per_minute": 7})

    assert changed.budgets == Budgets(
        tenant=SpendLimits(tokens_per_minute=7, usd_per_month=5), user=SpendLimits(tokens_per_day=3)
    )
    assert changed.model_copy(update={"budgets": ACME.budgets}) == ACME


def test_the_soft_share_may_be_changed_alone() -> None:
    """It belongs to all limits of the tenant."""
    assert with_budgets(ACME, "tenant", {}, soft=0.5).budgets == ACME.budgets.model_copy(update={"soft": 0.5})


def test_a_change_of_nothing_and_an_unknown_spender_are_refused() -> None:
    """Both are slips at the terminal, and neither changes a limit."""
    with pytest.raises(InvalidError, match="no limit is given"):
        with_budgets(ACME, "user", {})
    with pytest.raises(InvalidError, match="write tenant, user, agent"):
        with_budgets(ACME, "team", {"tokens_per_day": 1})
