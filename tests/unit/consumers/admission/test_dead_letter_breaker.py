"""Dead letters by share and count, in a window that slides; and the door that is shut for them."""

from __future__ import annotations

import asyncio

import pytest

from consumers.admission import dead_letter_breaker as breaker_module
from consumers.admission import tenant_admission as tenant_admission_module
from consumers.admission.controller import AdmissionController
from consumers.admission.dead_letter_breaker import DeadLetterBreaker
from schemas.admissions import AdmissionEvent, AdmissionKey
from schemas.tenants import DlqLimit
from tests.clock import Clock

pytestmark = pytest.mark.anyio

LIMIT = DlqLimit(share=0.5, count=10, window=60, cool_down=30)


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock stands still, the loop's does not."""
    monkeypatch.setattr(tenant_admission_module, "CHECK_S", 0)
    monkeypatch.setattr(breaker_module, "CHECK_S", 0)


class Setup:
    """One tenant's spoilage, and what was said of it."""

    def __init__(self, limit: DlqLimit | None = LIMIT) -> None:
        self.clock, self.told = Clock(1_000_000), list[float]()
        self.breaker = DeadLetterBreaker(self.clock, self.told.append, lambda: limit)

    def note(self, good: int = 0, bad: int = 0) -> None:
        for number in range(good + bad):
            self.breaker.note(self.clock.at, dead_lettered=number >= good)

    def passes(self, seconds: float) -> None:
        self.clock.at += int(seconds * 1_000)


def test_too_large_a_share_of_dead_letters_shuts_the_door_once_and_for_a_while() -> None:
    """It opens by itself, and with a clean slate."""
    setup = Setup()
    setup.note(good=10, bad=9)
    assert setup.breaker.open_for_ms() == 0
    setup.note(bad=1)
    assert setup.breaker.open_for_ms() == 30_000
    setup.passes(29)
    assert setup.breaker.open_for_ms() == 1_000
    assert setup.told == [30.0]

    setup.passes(1)
    assert setup.breaker.open_for_ms() == 0
    setup.note(bad=9)
    assert setup.breaker.open_for_ms() == 0
    setup.note(bad=1)
    assert setup.breaker.open_for_ms() == 30_000
    assert len(setup.told) == 2


def test_many_dead_letters_among_many_more_results_are_nobodys_concern() -> None:
    """It is the share that tells a tenant that is broken from one that is busy."""
    setup = Setup()
    setup.note(good=501, bad=500)

    assert setup.breaker.open_for_ms() == 0


def test_what_is_older_than_the_window_does_not_count() -> None:
    """Nor does it keep the share down."""
    setup = Setup()
    setup.note(good=1_000, bad=9)
    setup.passes(66)
    setup.note(bad=9)
    assert setup.breaker.open_for_ms() == 0
    setup.passes(30)
    setup.note(bad=1)

    assert setup.breaker.open_for_ms() == 30_000


def test_what_ends_while_the_door_is_shut_does_not_keep_it_shut() -> None:
    """It was let in before."""
    setup = Setup()
    setup.note(bad=10)
    assert setup.breaker.open_for_ms()
    setup.passes(10)
    setup.note(bad=50)
    setup.passes(20)

    assert setup.breaker.open_for_ms() == 0


def test_without_a_limit_it_never_shuts() -> None:
    """The operator has said so."""
    setup = Setup(None)
    setup.note(bad=10_000)

    assert setup.breaker.open_for_ms() == 0


def test_what_is_read_of_long_ago_shuts_nothing() -> None:
    """A restart reads of dead letters whose time is over."""
    setup = Setup()
    setup.note(bad=20)
    setup.passes(31)

    assert setup.breaker.open_for_ms() == 0
    assert setup.told == []


def test_a_clock_that_is_set_back_does_not_keep_the_door_shut_for_longer() -> None:
    """An hour back would be an hour more."""
    setup = Setup()
    setup.note(bad=10)
    assert setup.breaker.open_for_ms() == 30_000
    setup.passes(-3_600)

    assert setup.breaker.open_for_ms() == 30_000


# --- the door ---------------------------------------------------------------------------------------------------------


def admission(name: str) -> AdmissionKey:
    """Of a request that has a lane of its own."""
    return AdmissionKey(key=f"acme|{name}", body="a", lane=name, request_id=name, deadline_ms=0)


def spoiled(clock: Clock, on_open: list[str], *, dead_lettered: bool = True) -> AdmissionController:
    """A door that has read of ten requests that a later stage buried."""
    controller = AdmissionController(clock, on_open=lambda tenant, _: on_open.append(tenant), limit_of=lambda _: LIMIT)
    for number in range(10):
        name = f"old-{number}"
        controller.apply(f"acme|{name}", AdmissionEvent(state="open", admission=admission(name)), clock.at)
        controller.apply(
            f"acme|{name}",
            AdmissionEvent(state="closed", admission=admission(name), dead_lettered=dead_lettered),
            clock.at,
        )
    return controller


async def test_what_later_stages_bury_shuts_the_door_that_let_it_in() -> None:
    """The inbox says so, also to who has just taken the shard over; nobody else's door shuts with it."""
    clock, on_open = Clock(1_000_000), list[str]()
    controller = spoiled(clock, on_open)
    other = AdmissionKey(key="globex|1", body="a", lane="1", request_id="1", deadline_ms=0)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        waiting = [group.create_task(controller.enter(admission(f"new-{number}"), 5)) for number in range(3)]
        assert await controller.enter(other, 5) == "new"
        await asyncio.sleep(0.02)
        assert not any(task.done() for task in waiting)
        assert controller.is_limited("acme")
        assert on_open == ["acme"]

        clock.at += 30_000
        assert [await task for task in waiting] == ["new"] * 3
    assert not controller.is_limited("acme")


async def test_what_the_platform_is_to_blame_for_shuts_no_door() -> None:
    """Nor does what ended well."""
    clock, on_open = Clock(1_000_000), list[str]()
    controller = spoiled(clock, on_open, dead_lettered=False)

    async with asyncio.timeout(1):
        assert await controller.enter(admission("new"), 5) == "new"
    assert on_open == []
