"""Who kills processes is found and condemned; who was only there is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.resilience import suspect_pool as module
from consumers.resilience.suspect_pool import ProcessEndedError, SuspectPool
from schemas.errors import PoisonError, ToolFailedError

pytestmark = pytest.mark.anyio


@dataclass
class Mortal:
    """A process that dies at once of whoever *kills* it."""

    kills: Callable[[int], bool]
    ran: list[int] = field(default_factory=list[int])
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    slow: asyncio.Event | None = None
    dropped: list[int] = field(default_factory=list[int])

    async def run(self, task: int) -> str:
        self.ran.append(task)
        if self.kills(task):
            self.ended.set()
        await asyncio.sleep(0)  # all of a cohort begin before one of them ends
        if self.ended.is_set():
            raise ProcessEndedError
        if task == 404:
            raise ToolFailedError("it has failed")
        if self.slow is not None:
            try:
                await self.slow.wait()
            except asyncio.CancelledError:
                self.dropped.append(task)
                raise
        return f"answer {task}"


class Setup:
    """Cohorts over processes that are only played, and what each of them ran."""

    def __init__(self, *poison: int, processes: int = 2, kills: Callable[[int], bool] | None = None) -> None:
        self.kills = kills or (lambda task: task in poison)
        self.slow: asyncio.Event | None = None
        self.all: list[Mortal] = []
        self.alive = self.refused = 0
        self.deaths: list[int] = []
        self.cohorts = SuspectPool[int, str](
            self.start, size=8, processes=processes, linger_s=0.01, died=self.deaths.append
        )

    @asynccontextmanager
    async def start(self) -> AsyncGenerator[Mortal]:
        if self.refused:
            self.refused -= 1
            raise ProcessEndedError("it would not start")
        await asyncio.sleep(0)
        self.all.append(Mortal(self.kills, slow=self.slow))
        self.alive += 1
        try:
            yield self.all[-1]
        finally:
            self.alive -= 1

    async def answers(self, *tasks: int) -> dict[int, object]:
        """How each ends."""
        found: dict[int, object] = {}

        async def ask(task: int) -> None:
            try:
                found[task] = await self.cohorts.run(task)
            except (PoisonError, ToolFailedError) as error:
                found[task] = error.code

        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            serving = group.create_task(self.cohorts.serve())
            async with asyncio.TaskGroup() as asking:
                for task in tasks:
                    asking.create_task(ask(task))
            while self.alive:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.005)
            serving.cancel()
        return found


async def test_one_culprit_among_many_is_condemned_and_all_the_others_are_answered() -> None:
    """Each death halves its cohort: 8, 4, 2, then alone twice."""
    setup = Setup(13)

    found = await setup.answers(*range(20))

    assert found.pop(13) == "poison"
    assert found == {task: f"answer {task}" for task in range(20) if task != 13}
    assert setup.deaths == [8, 4, 2, 1, 1]


@given(
    st.integers(1, 40).flatmap(lambda count: st.tuples(st.just(count), st.sets(st.integers(0, count - 1), max_size=4))),
    st.integers(1, 4),
)
@settings(max_examples=60, deadline=None)
def test_whoever_they_are_and_wherever_they_stand_just_they_are_condemned(
    crowd: tuple[int, set[int]], processes: int
) -> None:
    """In any number of cohorts, with any number of processes."""
    count, poison = crowd
    found = asyncio.run(Setup(*poison, processes=processes).answers(*range(count)))
    assert {task for task, answer in found.items() if answer == "poison"} == poison
    assert len(found) == count


async def test_condemned_is_only_who_was_alone_from_the_beginning() -> None:
    """In a process that has run others before, one of them may be to blame."""
    setup = Setup(3)

    await setup.answers(*range(10))

    alone = [process.ran for process in setup.all if process.ran[-1] == 3 and process.ended.is_set()][-2:]
    assert alone == [[3], [3]]


async def test_who_has_killed_once_alone_may_have_been_unlucky() -> None:
    """The kernel needs memory for somebody else, say; the second time decides."""
    deaths = iter([True, False])
    setup = Setup(kills=lambda _: next(deaths, False))

    assert await setup.answers(1) == {1: "answer 1"}
    assert setup.deaths == [1]


async def test_a_death_in_a_process_that_others_have_used_is_not_held_against_anybody() -> None:
    """What they have left behind may be to blame; only the second death alone would condemn."""
    deaths = iter([False, True, True])
    setup = Setup(kills=lambda _: next(deaths, False), processes=1)
    setup.cohorts.linger_s = 0.5
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        serving = group.create_task(setup.cohorts.serve())
        assert await setup.cohorts.run(1) == "answer 1"
        assert await setup.cohorts.run(2) == "answer 2"
        serving.cancel()
    assert [process.ran for process in setup.all] == [[1, 2], [2], [2]]


async def test_processes_that_are_all_killed_from_outside_condemn_nobody_in_company() -> None:
    """Three times, whatever runs."""
    left = [3]

    def kills(task: int) -> bool:
        if task % 8 == 0 and left[0]:
            left[0] -= 1
            return True
        return False

    found = await Setup(kills=kills, processes=4).answers(*range(40))

    assert set(found.values()) == {f"answer {task}" for task in range(40)}
    assert left == [0]


async def test_what_a_task_raises_is_its_own() -> None:
    """An error is an answer, not a death."""
    setup = Setup()
    assert await setup.answers(404, 1) == {404: "tool_failed", 1: "answer 1"}
    assert setup.deaths == []


async def test_whoever_is_not_waited_for_any_more_is_cancelled_and_harms_nobody() -> None:
    """Its deadline has passed, it was taken back, or its shard went elsewhere."""
    setup = Setup()
    setup.slow = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(setup.cohorts.serve())
        with suppress(TimeoutError):
            async with asyncio.timeout(0.05):
                await setup.cohorts.run(1)
        await asyncio.sleep(0.01)
        assert setup.all[0].dropped == [1]
        setup.slow.set()
        assert await setup.cohorts.run(2) == "answer 2"
        serving.cancel()
    assert setup.deaths == []


async def test_a_process_that_will_not_start_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory may be short for a while; nobody is to blame for that."""
    monkeypatch.setattr(module, "PAUSE_S", 0.01)
    setup = Setup(processes=1)
    setup.refused = 3
    assert await setup.answers(1) == {1: "answer 1"}
    assert setup.deaths == []


async def test_no_more_processes_are_started_than_there_are_cohorts() -> None:
    """One suspect costs one process, and none is left when all are answered."""
    setup = Setup(processes=4)
    await setup.answers(1)
    assert (len(setup.all), setup.alive) == (1, 0)
