"""The behaviour of every implementation of the budget port, over a real Valkey and in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date

import pytest

from consumers.agent.budget.port import (
    TENANT,
    BudgetSpent,
    BudgetUse,
    CallLimits,
    Charge,
    Granted,
    LimitName,
    MustWait,
    PeriodTotal,
    SoftLimit,
    Spender,
    Unloaded,
    user_spender,
)
from ops.embedded.valkey import Valkey
from schemas.keys import PLATFORM
from tests.laws.budget_worlds import (
    START_MS,
    BudgetWorld,
    claim_of,
    granted,
    in_memory,
    in_valkey,
    new_account,
    sent,
)

pytestmark = pytest.mark.anyio

TODAY, TOMORROW = date(2026, 12, 1), date(2026, 12, 2)
USER, AGENT = user_spender("issuer", "subject"), Spender("agent", "support")
TENANT_DAY = LimitName("tenant", "day", "tokens")
TENANT_MINUTE = LimitName("tenant", "minute", "tokens")


@pytest.fixture(scope="module", params=["memory", "valkey"])
async def opened(request: pytest.FixtureRequest, valkey: Valkey) -> AsyncIterator[BudgetWorld]:
    """One implementation after the other."""
    async with in_memory() if request.param == "memory" else in_valkey(valkey) as world:
        yield world


@pytest.fixture
async def world(opened: BudgetWorld) -> BudgetWorld:
    """The implementation, at the start of the month."""
    await opened.set_time(START_MS)
    return opened


def day(tokens: int) -> CallLimits:
    """Return a tenant's limit of tokens a day."""
    return CallLimits(TENANT, day_tokens=tokens)


def minute(tokens: int) -> CallLimits:
    """Return a tenant's limit of tokens a minute."""
    return CallLimits(TENANT, minute_tokens=tokens)


async def use_of(world: BudgetWorld, account: str, spender: Spender = TENANT) -> BudgetUse:
    """Return the usage of a spender."""
    return (await world.store.read(account, [spender]))[0]


# --- budgets of a day and a month -------------------------------------------------------------------------------------


async def test_a_reservation_is_held_and_settled_by_the_usage(world: BudgetWorld) -> None:
    """The budget counts what the provider charged, and not the estimate."""
    account = await world.account()
    found = await sent(world, claim_of(account, day(1_000), prices=(2, 3)))

    assert (found.tokens, found.pico, found.day) == (100, 290, TODAY)
    assert await use_of(world, account) == BudgetUse(TENANT, TODAY, 0, 0, 0, 0, 100, 290)

    await world.store.settle(found, Charge(42, 77))
    assert await use_of(world, account) == BudgetUse(TENANT, TODAY, 42, 77, 42, 77, 0, 0)


async def test_a_settlement_counts_once(world: BudgetWorld) -> None:
    """A settlement without an answer is sent again."""
    account = await world.account()
    found = await sent(world, claim_of(account, day(1_000)))
    for _ in range(3):
        await world.store.settle(found, Charge(42, 1))

    assert (await use_of(world, account)).day_tokens == 42


async def test_a_spent_budget_refuses_and_names_the_limit(world: BudgetWorld) -> None:
    """The client learns which limit it was, and how large."""
    account = await world.account()
    await world.store.settle(await sent(world, claim_of(account, day(150))), Charge(100))

    answer = await world.store.reserve(claim_of(account, day(150)))

    assert answer == BudgetSpent(TENANT_DAY, too_large=False, limit_amount=150, amount=100)


async def test_a_call_above_the_limit_itself_would_never_fit(world: BudgetWorld) -> None:
    """Waiting for another day would not help."""
    account = await world.account()
    answer = await world.store.reserve(claim_of(account, day(99)))

    assert answer == BudgetSpent(TENANT_DAY, too_large=True, limit_amount=99, amount=100)


async def test_a_call_waits_for_what_others_have_reserved(world: BudgetWorld) -> None:
    """Their usage may turn out smaller, so that a refusal would be false."""
    account = await world.account()
    first = await sent(world, claim_of(account, day(150)))
    waiting = claim_of(account, day(150))

    answer = await world.store.reserve(waiting)
    assert isinstance(answer, MustWait)
    assert answer.limit == TENANT_DAY

    await world.store.settle(first, Charge(50))
    assert isinstance(await world.store.reserve(waiting), Granted)


async def test_a_call_without_a_maximum_gets_what_is_left(world: BudgetWorld) -> None:
    """Its usual output is a guess, which refuses no call that may be smaller."""
    account = await world.account()
    found = await granted(world, claim_of(account, day(50), prompt=10, output=4_096, least=1))

    assert found.tokens == 50


async def test_money_shortens_the_output_of_a_call_without_a_maximum(world: BudgetWorld) -> None:
    """Tokens and money are both reserved, whichever is scarcer."""
    account = await world.account()
    limits = CallLimits(TENANT, month_pico=1_000)
    found = await granted(world, claim_of(account, limits, prompt=10, output=4_096, least=1, prices=(20, 30)))

    assert (found.tokens, found.pico) == (10 + 26, 200 + 26 * 30)


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (CallLimits(TENANT, day_tokens=100), ("tenant", "day", "tokens")),
        (CallLimits(TENANT, month_tokens=100), ("tenant", "month", "tokens")),
        (CallLimits(TENANT, day_pico=1_000), ("tenant", "day", "usd")),
        (CallLimits(TENANT, month_pico=1_000), ("tenant", "month", "usd")),
        (CallLimits(USER, day_tokens=100), ("user", "day", "tokens")),
        (CallLimits(AGENT, month_pico=1_000), ("agent", "month", "usd")),
    ],
)
async def test_each_limit_refuses_by_its_own_name(
    world: BudgetWorld, limits: CallLimits, name: tuple[str, str, str]
) -> None:
    """An operator must see which of ten limits to raise."""
    account = await world.account()
    three = [limits if each == limits.spender else CallLimits(each) for each in (USER, AGENT, TENANT)]
    await world.store.settle(await sent(world, claim_of(account, *three, prices=(10, 10))), Charge(100, 1_000))

    answer = await world.store.reserve(claim_of(account, *three, prices=(10, 10)))

    assert isinstance(answer, BudgetSpent)
    assert tuple(answer.limit) == name


async def test_a_refused_call_reserves_nothing_from_any_spender(world: BudgetWorld) -> None:
    """All or nothing: a user's refusals must not use up the tenant's budget."""
    account = await world.account()
    limits = (CallLimits(USER, day_tokens=50), CallLimits(AGENT), day(1_000)._replace(minute_tokens=1_000))
    for _ in range(20):
        assert isinstance(await world.store.reserve(claim_of(account, *limits)), BudgetSpent)

    whole = claim_of(account, CallLimits(AGENT), limits[2], prompt=1_000, output=0)
    assert isinstance(await world.store.reserve(whole), Granted)


async def test_users_and_agents_are_counted_apart_and_the_tenant_together(world: BudgetWorld) -> None:
    """One user's budget is nobody else's."""
    account = await world.account()
    other = user_spender("issuer", "other")
    for user in (USER, other, other):
        limits = (CallLimits(user, day_tokens=250), CallLimits(AGENT), CallLimits(TENANT))
        await world.store.settle(await sent(world, claim_of(account, *limits)), Charge(100, 5))

    used = await world.store.read(account, [USER, other, AGENT, TENANT])

    assert [(each.day_tokens, each.month_pico) for each in used] == [(100, 5), (200, 10), (300, 15), (300, 15)]


async def test_the_day_and_the_month_end_by_the_clock_of_the_store(world: BudgetWorld) -> None:
    """The clocks of workers differ; the store has one."""
    account = await world.account()
    limits = CallLimits(TENANT, day_tokens=100, month_tokens=200)
    await world.store.settle(await sent(world, claim_of(account, limits)), Charge(100))
    assert isinstance(await world.store.reserve(claim_of(account, limits)), BudgetSpent)

    await world.pass_by(86_400)
    second = await sent(world, claim_of(account, limits))
    assert second.day == TOMORROW
    await world.store.settle(second, Charge(100))
    await world.pass_by(86_400)
    answer = await world.store.reserve(claim_of(account, limits))
    assert isinstance(answer, BudgetSpent)
    assert answer.limit == LimitName("tenant", "month", "tokens")

    await world.pass_by(31 * 86_400)
    assert (await granted(world, claim_of(account, limits))).day == date(2027, 1, 3)


async def test_a_call_counts_for_the_day_of_its_reservation(world: BudgetWorld) -> None:
    """The ledger states the same day, so that a rebuild finds the same amounts."""
    account = await world.account()
    await world.set_time(START_MS + 86_399_000)
    found = await sent(world, claim_of(account, day(1_000)))
    await world.pass_by(10)
    await world.store.settle(found, Charge(70))

    used = await use_of(world, account)
    assert (used.day, used.day_tokens, used.month_tokens) == (TOMORROW, 0, 70)


@pytest.mark.parametrize("days", [0, 59, 60, 365, 366, 790, 1_155, 1_156, 20_000])
async def test_days_are_those_of_the_calendar(world: BudgetWorld, days: int) -> None:
    """Leap years, and the last day of each month."""
    account = await world.account()
    at = date.fromordinal(TODAY.toordinal() + days)
    await world.set_time(START_MS + days * 86_400_000 + 86_399_999)

    assert (await granted(world, claim_of(account))).day == at


# --- the life of a reservation ----------------------------------------------------------------------------------------


async def test_a_held_reservation_is_free_after_its_time(world: BudgetWorld) -> None:
    """Its worker was killed before the call was sent, so that nothing was spent."""
    account = await world.account()
    limits = day(100)._replace(minute_tokens=100)
    await granted(world, claim_of(account, limits))
    assert isinstance(await world.store.reserve(claim_of(account, limits)), MustWait)

    await world.pass_by(31)

    assert isinstance(await world.store.reserve(claim_of(account, limits)), Granted)
    assert (await use_of(world, account)).day_tokens == 0


async def test_a_called_reservation_is_charged_in_full_after_its_time(world: BudgetWorld) -> None:
    """Its worker was killed, and the provider may have answered."""
    account = await world.account()
    found = await sent(world, claim_of(account, day(150), prices=(1, 1), call_ms=40_000))
    await world.pass_by(39)
    assert isinstance(await world.store.reserve(claim_of(account, day(150))), MustWait)
    await world.pass_by(2)

    assert isinstance(await world.store.reserve(claim_of(account, day(150))), BudgetSpent)
    assert await use_of(world, account) == BudgetUse(TENANT, TODAY, 100, 100, 100, 100, 0, 0)

    await world.store.settle(found, Charge(1, 1))
    assert (await use_of(world, account)).day_tokens == 100


async def test_an_expired_reservation_cannot_be_called(world: BudgetWorld) -> None:
    """Its tokens may be another's by now."""
    account = await world.account()
    found = await granted(world, claim_of(account, day(100)))
    await world.pass_by(31)
    await granted(world, claim_of(account, day(100)))

    assert not await world.store.called(found)


async def test_a_repeated_reservation_replaces_the_held_one(world: BudgetWorld) -> None:
    """A resumed run repeats its step, and the first worker never sent the call."""
    account = await world.account()
    claim = claim_of(account, day(100)._replace(minute_tokens=100))
    first = await granted(world, claim)
    second = await granted(world, replace(claim, owner="resumed"))

    assert not await world.store.called(first)
    await world.store.settle(first, Charge(99))
    assert await world.store.called(second)
    assert (await use_of(world, account)).held_tokens == 100
    assert (await use_of(world, account)).day_tokens == 0


async def test_a_repeated_reservation_charges_the_called_one(world: BudgetWorld) -> None:
    """The provider may be paid twice for a step that is resumed. The late settlement of the first counts no more."""
    account = await world.account()
    claim = claim_of(account, day(250))
    first = await sent(world, claim)
    second = await sent(world, replace(claim, owner="resumed"))
    await world.store.settle(first, Charge(7))
    await world.store.settle(second, Charge(30))

    assert await use_of(world, account) == BudgetUse(TENANT, TODAY, 130, 0, 130, 0, 0, 0)


async def test_a_released_reservation_costs_nothing(world: BudgetWorld) -> None:
    """The provider refused the call."""
    account = await world.account()
    limits = day(100)._replace(minute_tokens=100)
    for _ in range(5):
        await world.store.settle(await sent(world, claim_of(account, limits)), Charge())

    assert await use_of(world, account) == BudgetUse(TENANT, TODAY, 0, 0, 0, 0, 0, 0)


async def test_the_usage_may_exceed_the_reservation(world: BudgetWorld) -> None:
    """The estimate of a prompt may be too low. The budget is then in debt."""
    account = await world.account()
    await world.store.settle(await sent(world, claim_of(account, day(100))), Charge(170))

    answer = await world.store.reserve(claim_of(account, day(100), prompt=1, output=0, least=0))
    assert isinstance(answer, BudgetSpent)


async def test_many_expired_reservations_refuse_nobody(world: BudgetWorld) -> None:
    """A crash of a fleet leaves hundreds of them at once."""
    account = await world.account()
    for _ in range(300):
        await granted(world, claim_of(account, day(30_000)))
    await world.pass_by(31)

    assert isinstance(await world.store.reserve(claim_of(account, day(30_000), prompt=30_000, output=0)), Granted)


# --- tokens per minute ------------------------------------------------------------------------------------------------


async def test_a_bucket_refills_over_a_minute(world: BudgetWorld) -> None:
    """A rate of 600 a minute is ten a second."""
    account = new_account()
    await sent(world, claim_of(account, minute(600), prompt=600, output=0))
    waiting = claim_of(account, minute(600))

    answer = await world.store.reserve(waiting)
    assert answer == MustWait(TENANT_MINUTE, 1.0, answer.ticket if isinstance(answer, MustWait) else 0)
    await world.pass_by(9.9)
    assert isinstance(await world.store.reserve(waiting), MustWait)
    await world.pass_by(0.2)
    assert isinstance(await world.store.reserve(waiting), Granted)


async def test_the_hint_is_the_time_that_is_missing(world: BudgetWorld) -> None:
    """A waiting run asks again when it can have its tokens."""
    account = new_account()
    await sent(world, claim_of(account, minute(60_000), prompt=60_000, output=0))

    answer = await world.store.reserve(claim_of(account, minute(60_000), prompt=500, output=0))

    assert isinstance(answer, MustWait)
    assert answer.seconds == pytest.approx(0.5)


async def test_a_settled_call_gives_back_what_it_did_not_use(world: BudgetWorld) -> None:
    """A maximum of output is seldom used up."""
    account = new_account()
    found = await sent(world, claim_of(account, minute(600), prompt=600, output=0))
    await world.store.settle(found, Charge(100))

    assert isinstance(await world.store.reserve(claim_of(account, minute(600), prompt=500, output=0)), Granted)
    assert isinstance(await world.store.reserve(claim_of(account, minute(600), prompt=1, output=0)), MustWait)


async def test_a_debt_is_paid_before_the_next_call(world: BudgetWorld) -> None:
    """Usage beyond the reservation is taken from the bucket as well."""
    account = new_account()
    found = await sent(world, claim_of(account, minute(600), prompt=500, output=0))
    await world.store.settle(found, Charge(900))
    small = claim_of(account, minute(600), prompt=10, output=0)
    await world.pass_by(30)
    assert isinstance(await world.store.reserve(small), MustWait)
    await world.pass_by(1)
    assert isinstance(await world.store.reserve(small), Granted)


async def test_a_call_larger_than_the_bucket_is_refused_for_good(world: BudgetWorld) -> None:
    """It would wait for ever."""
    answer = await world.store.reserve(claim_of(new_account(), minute(99)))
    assert answer == BudgetSpent(TENANT_MINUTE, too_large=True, limit_amount=99, amount=100)


async def test_small_calls_do_not_starve_a_large_one(world: BudgetWorld) -> None:
    """The head of the queue has the next tokens, whoever asks more often."""
    account = new_account()
    await sent(world, claim_of(account, minute(600), prompt=600, output=0))
    large = claim_of(account, minute(600), prompt=300, output=0)
    small = 0
    while not isinstance(answer := await world.store.reserve(large), Granted):
        assert isinstance(answer, MustWait)
        large = replace(large, ticket=answer.ticket)
        small += isinstance(await world.store.reserve(claim_of(account, minute(600), prompt=5, output=0)), Granted)
        await world.pass_by(1)

    assert small == 0


async def test_a_head_that_has_gone_holds_the_queue_for_seconds_only(world: BudgetWorld) -> None:
    """Its run was cancelled, or its worker killed."""
    account = new_account()
    await sent(world, claim_of(account, minute(600), prompt=600, output=0))
    await world.store.reserve(claim_of(account, minute(600), prompt=600, output=0))
    await world.pass_by(2)
    small = claim_of(account, minute(600), prompt=10, output=0)
    assert isinstance(await world.store.reserve(small), MustWait)
    await world.pass_by(2)

    assert isinstance(await world.store.reserve(small), Granted)


async def test_the_older_of_two_waiting_calls_is_first(world: BudgetWorld) -> None:
    """The order is that of the first question."""
    account = new_account()
    await sent(world, claim_of(account, minute(600), prompt=600, output=0))
    claims = [claim_of(account, minute(600), prompt=100, output=0) for _ in range(3)]
    for at, claim in enumerate(claims):
        await world.pass_by(0.01)
        answer = await world.store.reserve(claim)
        assert isinstance(answer, MustWait)
        claims[at] = replace(claim, ticket=answer.ticket)
    order: list[int] = []
    for _ in range(60):
        await world.pass_by(1)
        for at in (2, 1, 0):
            if at not in order and isinstance(await world.store.reserve(claims[at]), Granted):
                order.append(at)

    assert order == [0, 1, 2]


async def test_a_user_that_waits_does_not_hold_the_queue_of_the_tenant(world: BudgetWorld) -> None:
    """One user's exhausted rate must not delay the others."""
    account = new_account()
    tenant, other = minute(6_000), user_spender("issuer", "other")
    slow = (CallLimits(USER, minute_tokens=100), tenant)
    await sent(world, claim_of(account, *slow))
    for _ in range(5):
        answer = await world.store.reserve(claim_of(account, *slow))
        assert isinstance(answer, MustWait)
        assert answer.limit.kind == "user"
        assert isinstance(await world.store.reserve(claim_of(account, CallLimits(other), tenant)), Granted)
        await world.pass_by(1)


async def test_a_clock_that_goes_back_gives_no_tokens_and_stops_nothing(world: BudgetWorld) -> None:
    """A failover may bring another clock."""
    account = new_account()
    await sent(world, claim_of(account, minute(600), prompt=600, output=0))
    await world.pass_by(-3_600)
    waiting = claim_of(account, minute(600))
    assert isinstance(await world.store.reserve(waiting), MustWait)
    await world.pass_by(11)

    assert isinstance(await world.store.reserve(waiting), Granted)


async def test_models_have_limits_for_the_whole_platform(world: BudgetWorld) -> None:
    """The provider's rate is one for all tenants."""
    limits = CallLimits(Spender("model", f"gpt {new_account()}"), minute_tokens=150)
    await sent(world, claim_of(PLATFORM, limits))

    answer = await world.store.reserve(claim_of(PLATFORM, limits))

    assert isinstance(answer, MustWait)
    assert answer.limit == LimitName("model", "minute", "tokens")


# --- soft limits ------------------------------------------------------------------------------------------------------


async def test_a_soft_limit_alerts_once_for_each_spender_and_period(world: BudgetWorld) -> None:
    """An alert that repeats is no alert."""
    account = await world.account()
    limits = (CallLimits(USER, day_tokens=1_000), CallLimits(TENANT, day_tokens=400, month_tokens=10_000))
    alerts: list[SoftLimit] = []
    for _ in range(3):
        found = await sent(world, claim_of(account, *limits, soft=0.5))
        alerts += found.alerts + await world.store.settle(found, Charge(100))
    assert alerts == [SoftLimit(TENANT, TENANT_DAY)]

    await world.pass_by(86_400)
    for _ in range(2):
        found = await sent(world, claim_of(account, *limits, soft=0.5))
        alerts += found.alerts + await world.store.settle(found, Charge(100))
    assert alerts[1:] == [SoftLimit(TENANT, TENANT_DAY)]


async def test_a_lowered_limit_alerts_with_the_refusal(world: BudgetWorld) -> None:
    """No call is settled any more that could alert."""
    account = await world.account()
    await world.store.settle(await sent(world, claim_of(account, day(1_000))), Charge(100))

    answer = await world.store.reserve(claim_of(account, day(120)))

    assert isinstance(answer, BudgetSpent)
    assert answer.alerts == ()
    answer = await world.store.reserve(claim_of(account, day(120), soft=0.5))
    assert isinstance(answer, BudgetSpent)
    assert answer.alerts == (SoftLimit(TENANT, TENANT_DAY),)


# --- the ledger -------------------------------------------------------------------------------------------------------


async def test_an_account_that_is_not_loaded_has_no_budget(world: BudgetWorld) -> None:
    """An emptied store must not grant the whole budget anew."""
    account = new_account()
    assert await world.store.needs_load(account)
    assert await world.store.reserve(claim_of(account, day(1_000))) == Unloaded(account)

    assert await world.store.load(account, [])
    assert not await world.store.needs_load(account)
    assert isinstance(await world.store.reserve(claim_of(account, day(1_000))), Granted)


async def test_a_rate_needs_no_ledger(world: BudgetWorld) -> None:
    """A bucket is full after a minute anyway."""
    assert isinstance(await world.store.reserve(claim_of(new_account(), minute(1_000))), Granted)


async def test_totals_of_the_ledger_are_loaded_once(world: BudgetWorld) -> None:
    """Two workers may rebuild at the same time."""
    account = new_account()
    totals = [
        PeriodTotal(TENANT, "day", TODAY, 950, 7 * 10**15),
        PeriodTotal(TENANT, "month", TODAY, 2_000, 9 * 10**18),
        PeriodTotal(USER, "month", date(2026, 12, 1), 5, 1),
        PeriodTotal(TENANT, "day", date(2026, 11, 30), 1, 1),
        *[PeriodTotal(Spender("user", f"u{number}"), "day", TODAY, number, 1) for number in range(1_200)],
    ]
    assert await world.store.load(account, totals)
    assert not await world.store.load(account, totals)

    assert await use_of(world, account) == BudgetUse(TENANT, TODAY, 950, 7 * 10**15, 2_000, 9 * 10**18, 0, 0)
    assert (await use_of(world, account, USER)).month_tokens == 5
    assert (await use_of(world, account, Spender("user", "u1199"))).day_tokens == 1_199
    assert isinstance(await world.store.reserve(claim_of(account, day(1_000))), BudgetSpent)


async def test_usage_of_a_lost_reservation_comes_from_the_ledger(world: BudgetWorld) -> None:
    """Its run states that another generation has counted it, and is added once it has ended."""
    account = await world.account()
    found = await sent(world, claim_of(account, day(1_000)))
    lost = found._replace(account=new_account())
    await world.store.settle(lost, Charge(60, 3))
    generation = await world.store.load(lost.account, [PeriodTotal(TENANT, "day", TODAY, 100, 1)])
    await world.store.settle(lost, Charge(60, 3))
    assert (await use_of(world, lost.account)).day_tokens == 100

    late = [PeriodTotal(TENANT, "day", TODAY, 60, 3)]
    assert [await world.store.add_late(lost.account, each, late) for each in (generation, "", "old")] == [
        True,
        False,
        False,
    ]
    assert (await use_of(world, lost.account)).day_tokens == 160


async def test_a_total_that_no_limit_reaches_is_loaded_and_exhausts_every_limit(world: BudgetWorld) -> None:
    """A provider may state any usage. A load that failed for it would refuse all calls for a month."""
    account = new_account()
    totals = [PeriodTotal(TENANT, "day", TODAY, 10**30, 10**30)]
    generation = await world.store.load(account, totals)
    assert await world.store.add_late(account, generation, totals)
    assert await world.store.add_late(account, generation, totals)

    assert isinstance(await world.store.reserve(claim_of(account, day(10**15))), BudgetSpent)


async def test_a_call_of_a_forgotten_generation_is_released_and_not_charged(world: BudgetWorld) -> None:
    """The ledger has it when its run ends. A call whose usage is never told is charged in full, as always."""
    account = await world.account()
    known = await sent(world, claim_of(account, day(1_000)))
    await sent(world, claim_of(account, day(1_000)))
    await world.store.forget(account)
    await world.store.load(account, [])
    await world.store.settle(known, Charge(60, 3))
    assert (await use_of(world, account)).day_tokens == 0

    await world.pass_by(3_600)
    await world.store.reserve(claim_of(account, day(1_000)))
    assert (await use_of(world, account)).day_tokens == known.tokens


async def test_an_account_without_budgets_is_loaded_again_when_it_has_some(world: BudgetWorld) -> None:
    """Its calls were not counted meanwhile, and the ledger has them."""
    account = await world.account()
    await world.store.settle(await sent(world, claim_of(account, day(1_000))), Charge(60))
    await sent(world, claim_of(account, minute(1_000)))

    assert await world.store.reserve(claim_of(account, day(1_000))) == Unloaded(account)
    await world.store.load(account, [PeriodTotal(TENANT, "day", TODAY, 75, 0)])
    assert (await use_of(world, account)).day_tokens == 75


async def test_a_forgotten_account_starts_from_the_ledger(world: BudgetWorld) -> None:
    """An operator repairs counts that went wrong."""
    account = await world.account()
    await world.store.settle(await sent(world, claim_of(account, day(1_000))), Charge(60))
    await world.store.forget(account)

    assert await world.store.needs_load(account)
    await world.store.load(account, [PeriodTotal(TENANT, "day", TODAY, 10, 0)])
    assert (await use_of(world, account)).day_tokens == 10
