"""Sums of usage records by spender and period."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.agent.budget.port import TENANT, Spender, user_spender
from ops.budgets.sums import AccountSums, shares_of
from schemas.usage import DAY_MS, AgentSpend, UsageRecord, usd_of

TODAY = date(2030, 3, 15)
AT_MS = (TODAY - date(1970, 1, 1)).days * DAY_MS + 5


def usage(run_id: str = "run-1", *, tokens: int = 0, pico: int = 0, agents: tuple[AgentSpend, ...] = ()) -> UsageRecord:
    """A run of ann's that ended today."""
    return UsageRecord(
        tenant="acme",
        run_id=run_id,
        request_id="r-1",
        agent="desk",
        issuer="idp",
        subject="ann",
        status="succeeded",
        attempt=1,
        at_ms=AT_MS,
        input_tokens=tokens,
        cost_usd=usd_of(pico),
        agents=agents,
    )


def share(agent: str, day: date, tokens: int, *, generation: str = "", pico: int = 0) -> AgentSpend:
    """A share of a run."""
    return AgentSpend(agent=agent, day=day, generation=generation, calls=1, output_tokens=tokens, cost_usd=usd_of(pico))


def sums_of(*records: UsageRecord, counted: str = "") -> dict[tuple[Spender, str, date], tuple[int, int]]:
    """The totals of an account with these records."""
    sums = AccountSums(TODAY, counted)
    for record in records:
        sums.add(record)
    return {(each.spender, each.period, each.start): (each.tokens, each.pico) for each in sums.totals()}


def test_a_share_counts_for_the_tenant_the_user_and_its_agent_on_its_day() -> None:
    """Today's by day and month, an earlier day's for the month only, an earlier month's not at all."""
    ann, month = user_spender("idp", "ann"), TODAY.replace(day=1)
    found = sums_of(
        usage(
            tokens=7 + 20 + 100,
            pico=9,
            agents=(
                share("desk", TODAY, 7, pico=9),
                share("billing", TODAY.replace(day=2), 20),
                share("desk", date(2030, 2, 28), 100),
            ),
        )
    )

    assert found == {
        (TENANT, "day", TODAY): (7, 9),
        (ann, "day", TODAY): (7, 9),
        (Spender("agent", "desk"), "day", TODAY): (7, 9),
        (TENANT, "month", month): (27, 9),
        (ann, "month", month): (27, 9),
        (Spender("agent", "desk"), "month", month): (7, 9),
        (Spender("agent", "billing"), "month", month): (20, 0),
    }


def test_usage_without_a_share_counts_for_the_runs_agent_when_it_ended() -> None:
    """Records of an earlier build have no shares, and a run has shares up to a limit."""
    shares = list(shares_of(usage(tokens=10, pico=5, agents=(share("billing", TODAY, 4, pico=5),))))

    assert [(each.agent, each.day, each.tokens, each.pico) for each in shares] == [
        ("billing", TODAY, 4, 5),
        ("desk", TODAY, 6, 0),
    ]


def test_what_the_store_has_counted_is_left_out() -> None:
    """Its own counts have it, also those of a run that has begun before the store was emptied."""
    agents = (share("desk", TODAY, 3, generation="old"), share("desk", TODAY, 5, generation="new"))

    assert sums_of(usage(tokens=8, agents=agents), counted="new")[TENANT, "day", TODAY] == (3, 0)
    assert sums_of(usage(tokens=8, agents=agents))[TENANT, "day", TODAY] == (8, 0)


def test_two_issuers_users_of_one_name_are_two() -> None:
    """A subject is unique for its issuer only."""
    found = sums_of(usage("a", tokens=1), usage("b", tokens=2).model_copy(update={"issuer": "other"}))

    assert found[user_spender("idp", "ann"), "day", TODAY] == (1, 0)
    assert found[user_spender("other", "ann"), "day", TODAY] == (2, 0)


def test_days_after_today_are_kept_for_a_load_over_midnight() -> None:
    """The store moves to the next day while the ledger is read."""
    tomorrow = date(2030, 4, 1)

    found = sums_of(usage(tokens=1, agents=(share("desk", tomorrow, 1),)))

    assert found[TENANT, "day", tomorrow] == found[TENANT, "month", tomorrow] == (1, 0)


def test_a_time_beyond_the_calendar_is_refused() -> None:
    """Such a record is skipped as a whole; no part of it counts."""
    sums = AccountSums(TODAY)
    broken = usage(tokens=5, agents=(share("desk", TODAY, 1),)).model_copy(update={"at_ms": 10**18})

    with pytest.raises((ValueError, OverflowError)):
        sums.add(broken)
    assert not sums.totals()


@given(st.lists(st.integers(0, 10**15), max_size=20))
def test_money_is_summed_without_loss(picos: list[int]) -> None:
    """Costs are decimals in the ledger and picodollars in the store."""
    found = sums_of(*(usage(f"run-{number}", tokens=1, pico=pico) for number, pico in enumerate(picos)))

    assert found.get((TENANT, "day", TODAY), (0, 0)) == (len(picos), sum(picos))
