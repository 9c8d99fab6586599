"""The door: who waits, who gets in, and what it remembers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable

import pytest

from consumers.admission.controller import SERVING_RENEWAL_MS, AdmissionController, AdmissionDecision
from consumers.admission.rates import Rates
from schemas.admissions import AdmissionEvent, AdmissionKey
from tests.clock import Clock, settled
from tests.unit.consumers.admission.setups import HOUR, Waiting, admission

pytestmark = pytest.mark.anyio


async def within(work: Awaitable[AdmissionDecision]) -> AdmissionDecision:
    """What does not have to wait."""
    async with asyncio.timeout(5):
        return await work


def controller_with(*opened: AdmissionKey) -> AdmissionController:
    """One that has read that these are open."""
    controller = AdmissionController(Clock())
    for each in opened:
        controller.apply(each.key, AdmissionEvent(state="open", admission=each), 0)
    return controller


async def test_a_request_is_open_from_the_moment_it_gets_in() -> None:
    """A forward that is decided and not committed counts, or the cap would not hold."""
    controller = AdmissionController(Clock())

    assert await controller.enter(admission("a"), 1) == "new"
    assert controller.in_flight("acme") == 1
    controller.close(admission("a"))
    assert controller.in_flight("acme") == 0


async def test_a_duplicate_is_joined_and_another_body_is_a_conflict() -> None:
    """Same identity, one run; open or closed makes no difference."""
    controller = AdmissionController(Clock())
    await controller.enter(admission("a"), 1)

    for _ in range(2):
        assert await within(controller.enter(admission("a"), 1)) == "joined"
        assert await within(controller.enter(admission("a", body="b"), 1)) == "conflict"
        controller.close(admission("a"))


async def test_who_need_not_wait_is_let_in_at_once_and_for_anybody_else_nothing_is_decided() -> None:
    """A claim or a promise that nobody takes up would hold the lane or the place for ever."""
    controller = AdmissionController(Clock())

    assert controller.admit(admission("a"), 2) == "new"
    assert controller.admit(admission("a"), 2) == "joined"
    assert controller.admit(admission("a", body="b"), 2) == "conflict"
    assert controller.admit(admission("b", lane=admission("a").lane), 2) is None
    assert controller.admit(admission("c"), 1) is None
    assert controller.admit(admission("c"), 2, Rates(agent=1)) is None
    assert controller.admit(admission("c"), 2, Rates(tenant=1)) == "new"
    assert controller.in_flight("acme") == 2

    controller.close(admission("a"))
    assert await within(controller.enter(admission("b", lane=admission("a").lane), 2)) == "new"


async def test_places_go_round_in_the_order_of_asking() -> None:
    """Nobody starves."""
    controller = controller_with(admission("first"))
    async with asyncio.TaskGroup() as group:
        waiting = Waiting(controller, group)
        await waiting.ask(*(admission(f"{n}") for n in range(4)))
        for name in ("first", "0", "1", "2"):
            controller.close(admission(name))
            await settled()

    assert waiting.entered == ["0", "1", "2", "3"]


async def test_a_newcomer_does_not_pass_one_who_was_called_and_has_not_run() -> None:
    """The place of a waiter is promised from the moment that it is called."""
    controller = controller_with(admission("first"))
    async with asyncio.TaskGroup() as group:
        waiting = Waiting(controller, group)
        await waiting.ask(admission("a"))
        controller.close(admission("first"))
        await waiting.ask(admission("b"))
        assert waiting.entered == ["a"]
        controller.close(admission("a"))

    assert waiting.entered == ["a", "b"]


async def test_one_lane_is_never_handed_to_two() -> None:
    """Those of a session that wait for a place, too: only one of them may be on its way in."""
    controller = controller_with(admission("s1", lane="s"), admission("t1", lane="t"))
    async with asyncio.TaskGroup() as group:
        waiting = Waiting(controller, group)
        await waiting.ask(admission("s2", lane="s"), admission("s3", lane="s"), limit=2)
        await waiting.ask(admission("u", lane="u"), limit=2)  # waits for room
        controller.close(admission("s1", lane="s"))
        await settled()
        controller.close(admission("t1", lane="t"))
        await settled()
        assert waiting.entered == ["u", "s2"]
        assert controller.in_flight("acme") == 2
        controller.close(admission("u", lane="u"))
        await settled()
        assert waiting.entered == ["u", "s2"], "s2 still holds its lane, though there is room"
        controller.close(admission("s2", lane="s"))
        await settled()
        assert waiting.entered == ["u", "s2", "s3"]
        controller.close(admission("s3", lane="s"))

    assert controller.in_flight("acme") == 0


async def test_a_lane_that_was_handed_on_is_not_passed_by_a_newcomer() -> None:
    """Order within a session is the order of asking, whoever runs first."""
    controller = controller_with(admission("s1", lane="s"))
    async with asyncio.TaskGroup() as group:
        waiting = Waiting(controller, group)
        await waiting.ask(admission("s2", lane="s"), limit=9)
        controller.close(admission("s1", lane="s"))
        await waiting.ask(admission("s3", lane="s"), limit=9)
        assert waiting.entered == ["s2"]
        controller.close(admission("s2", lane="s"))
        await settled()
        assert waiting.entered == ["s2", "s3"]


async def test_a_busy_session_holds_up_nobody_else() -> None:
    """It waits for its lane, not for a place: it takes none."""
    controller = controller_with(admission("s1", lane="s"))
    async with asyncio.TaskGroup() as group:
        waiting = Waiting(controller, group)
        held = await waiting.ask(*(admission(f"s{n}", lane="s") for n in range(2, 50)), limit=3)
        await waiting.ask(admission("x"), admission("y"), limit=3)
        assert waiting.entered == ["x", "y"]
        for task in held:
            task.cancel()


@pytest.mark.parametrize("waits_for", ["room", "lane"])
async def test_a_waiter_that_goes_away_at_the_moment_it_is_called_gives_the_place_on(waits_for: str) -> None:
    """A deadline and a free place may fall into one turn of the loop."""
    lane = "s" if waits_for == "lane" else None
    first = admission("first", lane=lane)
    controller = controller_with(first)
    async with asyncio.TaskGroup() as group:
        waiting = Waiting(controller, group)
        tasks = await waiting.ask(admission("a", lane=lane), admission("b", lane=lane))
        controller.close(first)  # a is called ...
        tasks[0].cancel()  # ... and goes, before it runs
        await settled()
        assert waiting.entered == ["b"]
        controller.close(admission("b", lane=lane))
        await waiting.ask(admission("c", lane=lane))

    assert waiting.entered == ["b", "c"]
    assert tasks[0].cancelled()


@pytest.mark.parametrize("waits_for", ["room", "lane"])
async def test_a_waiter_that_has_just_gone_away_is_not_called(waits_for: str) -> None:
    """It is still in the queue until it runs again: to call it would be an error in whoever closes."""
    lane = "s" if waits_for == "lane" else None
    first = admission("first", lane=lane)
    controller = controller_with(first)
    async with asyncio.TaskGroup() as group:
        waiting = Waiting(controller, group)
        tasks = await waiting.ask(admission("a", lane=lane), admission("b", lane=lane))
        tasks[0].cancel()
        controller.close(first)
        await settled()

    assert waiting.entered == ["b"]
    assert controller.in_flight("acme") == 1


async def test_who_holds_a_lane_and_gives_up_waiting_for_room_hands_the_lane_on() -> None:
    """Else its session would stand still for ever."""
    controller = controller_with(admission("first"))
    async with asyncio.TaskGroup() as group:
        waiting = Waiting(controller, group)
        tasks = await waiting.ask(admission("s1", lane="s"), admission("s2", lane="s"))
        tasks[0].cancel()
        await settled()
        controller.close(admission("first"))

    assert waiting.entered == ["s2"]


async def test_one_identity_in_two_lanes_gets_in_once() -> None:
    """The same request under two keys: the second is joined, and its lane and place are free again."""
    controller = controller_with(admission("first"))
    async with asyncio.TaskGroup() as group:
        waiting = Waiting(controller, group)
        tasks = await waiting.ask(admission("a", lane="s"), admission("a", lane="t"), admission("b", lane="t"), limit=1)
        controller.close(admission("first"))
        await settled()
        assert waiting.entered == ["a"]
        controller.close(admission("a", lane="s"))

    assert [task.result() for task in tasks] == ["new", "joined", "new"]
    assert controller.in_flight("acme") == 1


async def test_a_higher_limit_lets_those_in_who_wait() -> None:
    """The registry may change while they do; the next who asks brings the news."""
    controller = controller_with(admission("first"))
    async with asyncio.TaskGroup() as group:
        waiting = Waiting(controller, group)
        await waiting.ask(admission("a"), admission("b"), limit=1)
        await waiting.ask(admission("c"), limit=4)
        assert sorted(waiting.entered) == ["a", "b", "c"]


async def test_a_lower_limit_holds_from_then_on() -> None:
    """What is open stays open, and nobody joins it."""
    controller = controller_with(admission("a"), admission("b"), admission("c"))
    async with asyncio.TaskGroup() as group:
        waiting = Waiting(controller, group)
        await waiting.ask(admission("d"), limit=2)
        controller.close(admission("a"))
        await settled()
        assert waiting.entered == []
        controller.close(admission("b"))
        await settled()
        assert waiting.entered == ["d"]


async def test_tenants_do_not_share_places() -> None:
    """One shard is the door of many."""
    controller = controller_with(admission("a", tenant="acme"))

    assert await within(controller.enter(admission("a", tenant="globex"), 1)) == "new"
    assert (controller.in_flight("acme"), controller.in_flight("globex"), controller.in_flight("nobody")) == (1, 1, 0)


def test_the_log_is_taken_up_in_its_order_and_may_repeat_what_is_known() -> None:
    """The door's own entries come back to it, after it has acted on them."""
    controller, mine = AdmissionController(Clock()), admission("a", lane="s")
    for state in ("open", "open", "closed", "closed"):
        controller.apply(mine.key, AdmissionEvent.model_validate({"state": state, "admission": mine}), 0)

    assert controller.in_flight("acme") == 0
    assert controller.lookup(mine) == "joined"


def test_the_end_of_one_request_does_not_free_the_lane_of_the_next() -> None:
    """Entries of closed requests may be read again after the lane has been given on."""
    controller = controller_with(admission("b", lane="s"))
    controller.apply("acme|a", AdmissionEvent(state="closed", admission=admission("a", lane="s")), 0)

    assert controller.in_flight("acme") == 1


def test_a_deleted_entry_is_forgotten_and_frees_its_place() -> None:
    """Compaction and erasure leave tombstones."""
    controller = controller_with(admission("a"))
    controller.apply("acme|a", None, 0)
    controller.apply("acme|unheard-of", None, 0)

    assert controller.in_flight("acme") == 0
    assert controller.lookup(admission("a")) == "new"


def test_a_closed_request_is_forgotten_after_the_window_and_an_open_one_never() -> None:
    """The memory is bounded by time, and a long run must not hold back the forgetting of others."""
    clock = Clock()
    controller = AdmissionController(clock, window_ms=HOUR)
    controller.apply("acme|long", AdmissionEvent(state="open", admission=admission("long")), 0)
    controller.apply("acme|a", AdmissionEvent(state="closed", admission=admission("a")), 0)
    clock.at = HOUR
    assert controller.lookup(admission("a")) == "joined"
    clock.at = HOUR + 1

    assert controller.lookup(admission("a")) == "new"
    assert controller.lookup(admission("long")) == "joined"
    assert controller.in_flight("acme") == 1


def test_it_knows_which_partitions_are_served_and_says_so_again_in_time() -> None:
    """The inbox drops old entries: a lost offset would be taken for a beginning."""
    clock = Clock()
    controller, key = AdmissionController(clock), "acme|serving|tenants.acme.requests:0"
    assert not controller.is_served(key)
    controller.apply(key, AdmissionEvent(state="serving"), 0)
    assert controller.is_served(key)
    assert not controller.renewal_due(key)
    clock.at = SERVING_RENEWAL_MS
    assert [controller.renewal_due(key), controller.renewal_due(key)] == [True, False]
    controller.apply(key, None, 0)
    assert not controller.is_served(key)


async def test_each_of_many_waiters_costs_no_more_than_one_of_a_few() -> None:
    """A flood waits at the door, and then leaves it all at once, the last one first."""

    async def each(count: int) -> float:
        controller = controller_with(admission("first"))
        async with asyncio.TaskGroup() as group:
            lanes = [f"s{n % 10}" if n % 2 else None for n in range(count)]
            tasks = await Waiting(controller, group).ask(
                *(admission(f"{n}", lane=lane) for n, lane in enumerate(lanes))
            )
            began = time.process_time()
            for task in reversed(tasks):
                task.cancel()
            await settled()
            controller.close(admission("first"))
        return (time.process_time() - began) / count

    many = min([await each(8_000) for _ in range(2)])  # what else the machine does makes nothing cheaper
    assert many < 6 * await each(400)
