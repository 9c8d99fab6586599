"""The state of a tenant's budgets."""

from __future__ import annotations

from datetime import date

from consumers.agent.budget.port import TENANT, BudgetUse, Spender
from ops.budgets.report import BudgetReport, LimitUse
from ops.budgets.sums import AccountSums
from schemas.budgets import Budgets, SpendLimits
from schemas.usage import PICO
from tests.unit.ops.budgets.test_sums import TODAY, usage

USE = BudgetUse(TENANT, TODAY, 80, PICO, 500, 4 * PICO, 7, 0)


def limits_of(budgets: Budgets, *uses: BudgetUse, **more: object) -> list[LimitUse]:
    """The limits of a report."""
    return list(BudgetReport(budgets, {each.spender: each for each in uses}, **more).limits())  # type: ignore[arg-type]


def test_a_limit_has_its_usage_its_share_and_the_end_of_its_period() -> None:
    """Money and tokens of both periods."""
    found = limits_of(Budgets(tenant=SpendLimits(tokens_per_day=100, usd_per_month=4, tokens_per_minute=9)), USE)

    assert found == [
        LimitUse("tenant", "", "tokens_per_minute", 9),
        LimitUse("tenant", "", "tokens_per_day", 100, 80, 7, date(2030, 3, 16), "soft"),
        LimitUse("tenant", "", "usd_per_month", 4, 4.0, 0.0, date(2030, 4, 1), "exhausted"),
    ]
    assert found[1].share == 0.8


def test_a_month_may_end_with_the_year() -> None:
    """The next one is January."""
    use = USE._replace(day=date(2030, 12, 31))
    (found,) = limits_of(Budgets(tenant=SpendLimits(tokens_per_month=1_000)), use)

    assert (found.ends, found.state) == (date(2031, 1, 1), "ok")


def test_counts_that_are_not_loaded_are_no_state() -> None:
    """They are too low, and calls are refused in any case."""
    assert [each.state for each in limits_of(Budgets(tenant=SpendLimits(tokens_per_day=1)), USE, loaded=False)] == [
        "rebuilding"
    ]


def test_users_and_agents_are_shown_on_request_by_name() -> None:
    """Without them, the limit of each is one line."""
    budgets = Budgets(user=SpendLimits(tokens_per_day=100), agent=SpendLimits(tokens_per_day=90))
    ann = Spender("user", "0a1b")

    found = limits_of(budgets, USE, USE._replace(spender=ann), names={ann: "ann"})

    assert [(each.of, each.name, each.used) for each in found] == [("user", "ann", 80), ("agent", "", None)]


def test_the_ledger_is_compared_with_the_counts() -> None:
    """A difference is a call in flight, or one without a known usage."""
    sums = AccountSums(TODAY)
    sums.add(usage(tokens=50, pico=PICO))

    found = limits_of(Budgets(tenant=SpendLimits(tokens_per_day=100, usd_per_month=8)), USE, ledger=sums)

    assert [(each.row()["ledger"], each.row()["difference"]) for each in found] == [(50, 30), (1.0, 3.0)]
