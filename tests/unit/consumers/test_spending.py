"""What a run has used, over attempts and processes."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from consumers.spending import MODELS_LIMIT, OTHER_MODELS, SHARES_LIMIT, Spending, SpendShare
from schemas.results import Usage
from schemas.usage import DAY_MS, AgentSpend, ModelSpend, RunUsage, day_of, pico_of, usd_of

MONDAY, TUESDAY = date(2030, 1, 7), date(2030, 1, 8)


def test_calls_are_counted_by_model_and_in_total() -> None:
    """A bill has one line a model."""
    spending = Spending()
    for _ in range(2):
        spending.add(10, 2, model="small", cached_input_tokens=4, cost_pico=5)
    spending.add(1, 1, model="large", cost_pico=7)
    spending.add_tool_call()

    assert spending.usage == Usage(
        input_tokens=21, output_tokens=5, model_calls=3, tool_calls=1, cost_usd=0.000000000017
    )
    assert [(each.model, each.calls, each.cached_input_tokens) for each in spending.itemized.models] == [
        ("small", 2, 8),
        ("large", 1, 0),
    ]


def test_a_later_attempt_goes_on_from_the_earlier_ones() -> None:
    """Also through JSON, between two workers."""
    first, second = Spending(), Spending()
    first.add(10, 2, model="small", cost_pico=5)
    first.add_tool_call()
    second.resume(RunUsage.model_validate_json(first.itemized.model_dump_json()))
    second.add(10, 2, model="small", cost_pico=5)

    assert second.usage == Usage(input_tokens=20, output_tokens=4, model_calls=2, tool_calls=1, cost_usd=1e-11)


def test_calls_are_shared_among_agents_days_and_stores_over_attempts() -> None:
    """A handoff's calls count for the agent that makes them, and a run may go on after midnight."""
    first, second = Spending(), Spending()
    first.add(10, 2, share=SpendShare("desk", MONDAY), cost_pico=5)
    first.add(1, 1, share=SpendShare("billing", MONDAY))
    second.resume(RunUsage.model_validate_json(first.itemized.model_dump_json()))
    second.add(3, 4, share=SpendShare("desk", TUESDAY))
    second.add(3, 4, share=SpendShare("desk", MONDAY), cost_pico=5)
    second.add(9, 9, share=SpendShare("desk", MONDAY, "g2"))

    assert second.itemized.agents == (
        AgentSpend(agent="desk", day=MONDAY, calls=2, input_tokens=13, output_tokens=6, cost_usd=1e-11),
        AgentSpend(agent="billing", day=MONDAY, calls=1, input_tokens=1, output_tokens=1),
        AgentSpend(agent="desk", day=TUESDAY, calls=1, input_tokens=3, output_tokens=4),
        AgentSpend(agent="desk", day=MONDAY, generation="g2", calls=1, input_tokens=9, output_tokens=9),
    )


def test_the_shares_of_agents_are_bounded() -> None:
    """The usage travels in every record of the run; the total still has all calls."""
    spending = Spending()
    for number in range(100):
        spending.add(1, 1, share=SpendShare(f"a-{number}", MONDAY))

    assert len(spending.itemized.agents) == SHARES_LIMIT
    assert spending.usage.model_calls == 100


def test_a_day_is_one_of_utc() -> None:
    """Days of budgets begin at midnight of UTC, before 1970 too."""
    assert [day_of(at_ms) for at_ms in (0, DAY_MS - 1, DAY_MS, -1)] == [
        date(1970, 1, 1),
        date(1970, 1, 1),
        date(1970, 1, 2),
        date(1969, 12, 31),
    ]


def test_the_models_that_are_counted_apart_are_bounded() -> None:
    """A provider may state a new name in each answer, and the usage travels in every record of the run."""
    spending = Spending()
    for number in range(100):
        spending.add(1, 1, model=f"m-{number}")

    assert len(spending.itemized.models) == MODELS_LIMIT + 1
    assert spending.itemized.models[-1].model == OTHER_MODELS
    assert spending.usage.model_calls == 100


def test_each_call_is_told_once() -> None:
    """A process of suspects tells its worker, which counts what was paid if the process dies."""
    told: list[RunUsage] = []
    spending = Spending(counted=told.append)
    spending.add(1, 1)
    spending.add_tool_call()

    assert [(each.model_calls, each.tool_calls) for each in told] == [(1, 0), (1, 1)]


def test_no_call_is_no_usage() -> None:
    """Then no usage record is written."""
    assert not Spending().itemized.used
    assert RunUsage(tool_calls=1).used


@given(st.integers(min_value=0, max_value=2_000 * 10**12))
def test_dollars_and_picodollars_convert_without_loss(pico: int) -> None:
    """A cost goes through JSON at each retry, and must not drift."""
    share = ModelSpend(model="m", cost_usd=usd_of(pico))

    assert pico_of(ModelSpend.model_validate_json(share.model_dump_json()).cost_usd) == pico
