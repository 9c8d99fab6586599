"""Rates and cancels at the door."""

from __future__ import annotations

import asyncio

import pytest

from consumers.admission import tenant_admission as tenant_admission_module
from consumers.admission.rates import MINUTE_MS, UNLIMITED, Rates
from consumers.admission.tenant_admission import CANCELLED
from schemas.admissions import AdmissionEvent
from tests.clock import Clock, settled
from tests.unit.consumers.admission.setups import HOUR, AdmissionSetup, admission

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands still, the loop's does not."""
    monkeypatch.setattr(tenant_admission_module, "CHECK_S", 0)


async def test_a_tenant_over_its_rate_waits_in_the_order_of_asking() -> None:
    """Nobody is refused: the flood waits, and goes in as its minute allows."""
    async with asyncio.TaskGroup() as group:
        house = AdmissionSetup(group, Rates(tenant=2))
        await house.ask(*(admission(f"{n}") for n in range(5)))
        assert house.entered == ["0", "1"]
        await house.pass_ms(MINUTE_MS - 1)
        assert house.entered == ["0", "1"]
        await house.pass_ms(1)
        assert house.entered == ["0", "1", "2", "3"]
        assert house.aside == 0, "the tenant's own limit holds the window"
        await house.pass_ms(MINUTE_MS)
        assert house.entered == ["0", "1", "2", "3", "4"]


@pytest.mark.parametrize(("rates", "kind"), [(Rates(agent=1), "agent"), (Rates(user=1), "user")])
async def test_an_agents_or_users_rate_holds_up_its_own_alone(rates: Rates, kind: str) -> None:
    """They wait beside the window."""
    async with asyncio.TaskGroup() as group:
        house = AdmissionSetup(group, rates)
        await house.ask(*(admission(f"a{n}", **{kind: "a"}) for n in range(3)), admission("b", **{kind: "b"}))
        assert house.entered == ["a0", "b"]
        assert house.aside == 2
        await house.pass_ms(MINUTE_MS)
        assert house.entered == ["a0", "b", "a1"]
        await house.leave()


async def test_a_duplicate_and_one_that_gives_up_are_not_charged() -> None:
    """A rate counts what was let in."""
    async with asyncio.TaskGroup() as group:
        house = AdmissionSetup(group, Rates(2, 2, 2), limit=1)
        await house.ask(admission("a"), admission("a"), admission("b"))
        house.tasks[2].cancel()
        await settled()
        house.controller.close(admission("a"))
        await house.ask(admission("a"), admission("c"))
        assert house.entered == ["a", "c"]


async def test_the_next_owner_counts_what_the_last_one_let_in() -> None:
    """Open or closed, once each: compaction may have left either entry, or both."""
    async with asyncio.TaskGroup() as group:
        house = AdmissionSetup(group, Rates(tenant=4, user=4))
        now = house.clock.at = 100_000
        for name, states, at_ms in (
            ("both", ("open", "closed"), now - 10_000),
            ("end", ("closed",), now - 20_000),
            ("begin", ("open",), now - 30_000),
            ("long ago", ("open", "closed"), now - MINUTE_MS),
        ):
            for state in states:
                charged = admission(name).model_copy(update={"charged_ms": at_ms})
                entry = AdmissionEvent.model_validate({"state": state, "admission": charged})
                house.controller.apply(charged.key, entry, now)
        await house.ask(admission("x"), admission("y"))
        assert house.entered == ["x"]
        await house.pass_ms(30_000)
        assert house.entered == ["x", "y"]


async def test_a_ticket_says_when_it_was_charged_where_anything_is_limited() -> None:
    """Every entry about the request bears it from then on, whoever writes it."""
    async with asyncio.TaskGroup() as group:
        house = AdmissionSetup(group, Rates(tenant=1))
        house.clock.at = 7
        await house.ask(admission("a"))
        assert house.controller.charged(admission("a")).charged_ms == 7
        house.controller.close(admission("a"))
        assert house.controller.charged(admission("a")).charged_ms == 7
        house.rates = UNLIMITED
        await house.ask(admission("b"))
        assert house.controller.charged(admission("b")).charged_ms is None


async def test_a_cancelled_request_stops_waiting_wherever_it_waits() -> None:
    """For its lane, its user's rate, room: at once, and its place goes to the next."""
    async with asyncio.TaskGroup() as group:
        house = AdmissionSetup(group, Rates(user=2), limit=1)
        await house.ask(admission("first", lane="s"))
        await house.ask(
            admission("lane", lane="s"), admission("room"), admission("rate"), admission("next", lane="s", user="v")
        )
        found = [house.controller.cancel(f"acme|{name}") for name in ("lane", "room", "rate")]
        await settled()
        assert found == ["ahead"] * 3
        assert [task.result() for task in house.tasks[1:4]] == ["cancelled"] * 3
        for name in ("lane", "room", "rate"):
            house.controller.close(admission(name))
            assert house.controller.lookup(admission(name)) == "joined", "a second copy is joined to the answer"
        house.controller.close(admission("first", lane="s"))
        await settled()
        assert house.entered == ["first", "next"]


async def test_a_cancel_that_comes_as_the_request_is_called_still_counts() -> None:
    """Both may fall into one turn of the loop; the lane goes on to the next."""
    async with asyncio.TaskGroup() as group:
        house = AdmissionSetup(group)
        await house.ask(admission("first", lane="s"), admission("a", lane="s"), admission("b", lane="s"))
        house.controller.close(admission("first", lane="s"))
        house.controller.cancel("acme|a")
        await settled()
        assert house.tasks[1].result() == "cancelled"
        assert house.entered == ["first", "b"]


async def test_a_cancel_finds_what_runs_and_what_is_over() -> None:
    """One is passed on, the other comes too late."""
    async with asyncio.TaskGroup() as group:
        house = AdmissionSetup(group)
        await house.ask(admission("a"))
        assert house.controller.cancel("acme|a") == "beyond"
        house.controller.close(admission("a"))
        assert house.controller.cancel("acme|a") == "over"
        assert house.controller.lookup(admission("a")) == "joined"


async def test_a_request_that_comes_after_its_cancel_is_cancelled_also_by_the_next_owner() -> None:
    """The word outlives the door that heard it, and not the time in which the request may still come."""
    async with asyncio.TaskGroup() as group:
        house = AdmissionSetup(group)
        house.controller.apply("acme|a", AdmissionEvent(state="cancelled"), 0)
        await house.ask(admission("a"))
        assert house.tasks[0].result() == "cancelled"
        house.clock.at = HOUR + 1
        assert house.controller.lookup(admission("a")) == "new"
        house.controller.apply("acme|b", AdmissionEvent(state="cancelled"), HOUR)
        house.controller.apply("acme|b", None, HOUR)
        assert house.controller.lookup(admission("b")) == "new"


async def test_the_log_may_repeat_a_cancel_after_its_request_was_answered() -> None:
    """The door's own entries come back to it."""
    async with asyncio.TaskGroup() as group:
        house = AdmissionSetup(group)
        house.controller.cancel("acme|a")
        house.controller.close(admission("a"))
        house.controller.apply("acme|a", AdmissionEvent(state="cancelled"), HOUR)
        assert house.controller.lookup(admission("a")) == "joined"
        house.clock.at = HOUR + 1
        assert house.controller.lookup(admission("a")) == "new"


async def test_a_flood_of_cancels_is_bounded() -> None:
    """The oldest word goes; no other tenant's does."""
    async with asyncio.TaskGroup() as group:
        house = AdmissionSetup(group)
        house.controller.cancel("globex|a")
        for number in range(CANCELLED + 1):
            house.controller.cancel(f"acme|{number}")
        assert house.controller.lookup(admission("0")) == "new"
        assert house.controller.lookup(admission("1")) == "cancelled"
        other = admission("a").model_copy(update={"key": "globex|a"})
        assert house.controller.lookup(other) == "cancelled"


async def test_idle_rates_of_users_are_forgotten_and_busy_ones_are_not() -> None:
    """There may be a user for each request."""
    clock = Clock()
    tenant_admission = tenant_admission_module.TenantAdmission(clock, lambda _: None, lambda: None)
    kept = tenant_admission.rate_queue_of("user", "busy", 5)
    kept.reserved = 1
    for minute in range(3):
        clock.at = minute * 2 * MINUTE_MS
        for number in range(700):
            tenant_admission.charge(admission("r", user=f"{minute}-{number}"), clock.at)
    assert len(tenant_admission.rate_queues) < 1_200
    assert tenant_admission.rate_queue_of("user", "busy", 5) is kept
