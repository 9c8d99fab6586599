"""The steps of one run: what is replayed, what is written, and what may not start."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from consumers.agent.journal.memory import MemoryJournal
from consumers.agent.journal.port import ENTRY_LIMIT, Entry, RunJournal, RunKey
from consumers.agent.journal.steps import NoSteps, RunSteps
from consumers.context import StepContext
from consumers.fencing_token import FencingToken
from consumers.resilience.deadline import Deadline
from schemas.clock import SystemClock
from schemas.errors import ExpiredError, JournalUnavailableError, RunSupersededError, TooLargeError
from schemas.tenants import Tenant

pytestmark = pytest.mark.anyio

RUN = RunKey("acme", "run-1")
CLOCK = SystemClock()
CONTEXT = StepContext(tenant=Tenant(id="acme"), clock=CLOCK)
FIRST = FencingToken(1, 1)


class FailingJournal(MemoryJournal):
    """A journal that fails as often as it is told to, before or after the write."""

    def __init__(self) -> None:
        super().__init__(CLOCK)
        self.failures = 0
        self.after = False
        self.calls: list[tuple[str, bool]] = []

    async def open(
        self, run: RunKey, token: FencingToken, *, lost: bool, stale: bool = False, expires_ms: int
    ) -> RunJournal:
        await self._fail()
        return await super().open(run, token, lost=lost, stale=stale, expires_ms=expires_ms)

    async def write(
        self, run: RunKey, token: FencingToken, entries: Sequence[Entry], *, known: int, durable: bool = False
    ) -> None:
        self.calls += [(entry.step, durable) for entry in entries]
        if not self.after:
            await self._fail()
        await super().write(run, token, entries, known=known, durable=durable)
        await self._fail()

    async def _fail(self) -> None:
        await asyncio.sleep(0)
        if self.failures:
            self.failures -= 1
            raise JournalUnavailableError


@pytest.fixture
def journal() -> FailingJournal:
    """A journal that works until it is told otherwise."""
    return FailingJournal()


async def opened(
    journal: MemoryJournal, context: StepContext = CONTEXT, *, attempt: int = 1, seconds: float = 60
) -> RunSteps:
    """Return the steps of the run."""
    now_ms = CLOCK.now_ms()
    deadline = Deadline(now_ms + round(seconds * 1_000), CLOCK)
    return await RunSteps.open(
        journal, RUN, context, attempt=attempt, deadline=deadline, expires_ms=now_ms + 86_400_000
    )


def owner(life: int, *, started_before: bool = True) -> StepContext:
    """Return the context of the run's owner number *life*."""
    return replace(CONTEXT, token=lambda: FencingToken(1, life), started_before=started_before)


async def stored(journal: MemoryJournal) -> RunJournal:
    """Return what the next owner finds."""
    return await journal.open(RUN, FencingToken(1, 99), lost=True, expires_ms=CLOCK.now_ms() + 1_000)


async def test_the_next_owner_gets_finished_outcomes_and_sees_what_was_interrupted(journal: FailingJournal) -> None:
    """A finished step is not repeated; the outcome of an interrupted one is unknown."""
    first = await opened(journal)
    await first.start("tool-1")
    await first.finish("tool-1", b"\x00sunny")
    await first.start("tool-2")
    assert not first.started("tool-2")

    second = await opened(journal, owner(2))

    assert second.finished("tool-1") == b"\x00sunny"
    assert (second.started("tool-1"), second.started("tool-2"), second.started("tool-3")) == (False, True, False)
    assert second.finished("tool-2") is None
    assert not second.lost


async def test_an_interrupted_step_that_finishes_is_not_interrupted_any_more(journal: FailingJournal) -> None:
    """A read-only tool is repeated; then its outcome is known."""
    await (await opened(journal)).start("tool-1")
    second = await opened(journal, owner(2))

    await second.start("tool-1")
    assert second.started("tool-1")
    await second.finish("tool-1", b"sunny")

    assert (second.started("tool-1"), second.finished("tool-1")) == (False, b"sunny")


@pytest.mark.parametrize(
    ("started_before", "attempt", "lost"), [(False, 1, False), (True, 1, True), (False, 2, True), (True, 3, True)]
)
async def test_a_new_journal_of_a_run_that_may_have_started_is_a_lost_one(
    journal: FailingJournal, *, started_before: bool, attempt: int, lost: bool
) -> None:
    """A run without its journal must not pass for a new run, for any of its owners."""
    steps = await opened(journal, owner(1, started_before=started_before), attempt=attempt)

    assert steps.lost is lost
    assert (await opened(journal, owner(2), attempt=2)).lost is lost


async def test_a_journal_of_a_store_that_has_changed_counts_as_lost(journal: FailingJournal) -> None:
    """A replica that lagged may have the run's journal without its newest start."""
    await (await opened(journal)).finish("model-1", b"call the tool")
    changed = replace(owner(2, started_before=True), store_changed=True)

    assert (await opened(journal, changed)).lost
    assert (await opened(journal, owner(3, started_before=False), attempt=2)).lost


async def test_a_start_is_written_durably_and_a_finish_is_not(journal: FailingJournal) -> None:
    """A lost start may repeat an effect; a lost finish only makes an outcome unknown."""
    steps = await opened(journal)
    await steps.start("tool-1")
    await steps.finish("tool-1", b"1")

    assert journal.calls == [("tool-1", True), ("tool-1", False)]


@pytest.mark.parametrize("after", [False, True])
async def test_a_failed_write_is_repeated_until_it_succeeds(journal: FailingJournal, *, after: bool) -> None:
    """The store may have written the entry before it failed."""
    steps = await opened(journal)
    journal.after, journal.failures = after, 2
    await steps.start("tool-1")
    journal.failures = 2
    await steps.finish("tool-1", b"1")

    assert (await stored(journal)).entries == {"tool-1": Entry("tool-1", "finished", b"1")}


async def test_a_run_waits_for_the_store_without_its_slot_and_no_longer_than_its_deadline(
    journal: FailingJournal,
) -> None:
    """A store that is away must not take the slots of runs that need none."""
    waits: list[str] = []

    @asynccontextmanager
    async def waiting() -> AsyncGenerator[None]:
        waits.append("given")
        try:
            yield
        finally:
            waits.append("taken")

    context = replace(CONTEXT, waiting=waiting)
    journal.failures = 2
    steps = await opened(journal, context)
    assert waits == ["given", "taken"]

    short = await opened(journal, context, seconds=0.2)
    journal.failures = 1_000
    for call in (short.start("tool-1"), short.finish("model-1", b"1"), opened(journal, context, seconds=0.2)):
        with pytest.raises(ExpiredError):
            await call
    journal.failures = 0
    await steps.start("tool-2")


async def test_no_step_starts_while_the_write_of_another_fails(journal: FailingJournal) -> None:
    """The outcome of a finished step would be lost with the process while the next one costs money."""
    steps = await opened(journal)
    for step in ("tool-1", "tool-2"):
        await steps.start(step)
    journal.failures = 2

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(steps.finish("tool-1", b"1"))
        await asyncio.sleep(0.01)
        tasks.create_task(steps.start("tool-3"))

    assert [step for step, _ in journal.calls[2:]] == ["tool-1", "tool-1", "tool-1", "tool-3"]


async def test_a_lost_journal_is_written_again_from_memory(journal: FailingJournal) -> None:
    """The process knows every step of its run, so nothing is unknown."""
    steps = await opened(journal)
    await steps.start("tool-1")
    await steps.finish("tool-1", b"1")
    await steps.start("tool-2")
    journal.clear()
    await steps.finish("model-1", b"2")

    found = await stored(journal)

    assert not found.lost
    assert list(found.entries.values()) == [
        Entry("tool-1", "finished", b"1"),
        Entry("tool-2", "started"),
        Entry("model-1", "finished", b"2"),
    ]


async def test_a_superseded_owner_writes_and_starts_nothing(journal: FailingJournal) -> None:
    """Another worker has the run: two of them would repeat each other's effects."""
    steps = await opened(journal)
    await opened(journal, owner(2))

    calls: list[Callable[[], Awaitable[object]]] = [
        lambda: steps.start("tool-1"),
        lambda: steps.finish("tool-1", b"1"),
        lambda: opened(journal),
    ]
    for call in calls:
        with pytest.raises(RunSupersededError):
            await call()


async def test_a_worker_that_may_not_start_refuses_before_and_after_the_write(journal: FailingJournal) -> None:
    """Its session may end while the write waits for the disk."""
    answers = [True]
    steps = await opened(journal, replace(CONTEXT, may_start=lambda: answers.pop(0)))

    answers[:] = [False]
    with pytest.raises(RunSupersededError):
        await steps.start("tool-1")
    answers[:] = [False]
    with pytest.raises(RunSupersededError):
        steps.may_start()
    assert journal.calls == []

    answers[:] = [True, False]
    with pytest.raises(RunSupersededError):
        await steps.start("tool-1")
    assert journal.calls == [("tool-1", True)]


async def test_a_run_uses_the_token_of_its_shard_as_it_is_now(journal: FailingJournal) -> None:
    """A run goes on while its shard reopens, under a higher token."""
    life = 1
    steps = await opened(journal, replace(CONTEXT, token=lambda: FencingToken(1, life)))
    await opened(journal, owner(2))
    life = 3

    await steps.finish("model-1", b"1")

    with pytest.raises(RunSupersededError):
        await journal.write(RUN, FencingToken(1, 2), (), known=0)


async def test_an_outcome_above_the_limit_is_refused_before_it_is_written(journal: FailingJournal) -> None:
    """The executor cuts it; the message says the limit."""
    for steps in (await opened(journal), NoSteps(CONTEXT)):
        with pytest.raises(TooLargeError, match=str(ENTRY_LIMIT)):
            await steps.finish("tool-1", b"x" * (ENTRY_LIMIT + 1))
    assert journal.calls == []


async def test_a_run_without_a_journal_records_nothing_and_still_needs_its_shard() -> None:
    """A model call costs money with or without a journal."""
    steps = NoSteps(replace(CONTEXT, may_start=lambda: False))
    await steps.finish("model-1", b"1")

    assert (steps.finished("model-1"), steps.started("model-1"), steps.lost) == (None, False, False)
    with pytest.raises(RunSupersededError):
        await steps.start("tool-1")
    with pytest.raises(RunSupersededError):
        steps.may_start()
