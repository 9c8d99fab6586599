"""A task that asks the process to end, ends; the loop goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator

import pytest
import uvloop
from structlog.testing import capture_logs

from ops.exit_guard import run_until_main_ends

Kind = type[SystemExit | KeyboardInterrupt]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Generator[asyncio.AbstractEventLoop]:
    """Each of those that a worker may have."""
    made: asyncio.AbstractEventLoop = request.param()
    yield made
    made.close()


def leaving(kind: Kind) -> Callable[[], Coroutine[object, object, None]]:
    """Asks to end, a little later."""

    async def leave() -> None:
        await asyncio.sleep(0)
        raise kind(3)

    return leave


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_what_runs_beside_a_task_that_leaves_goes_on(loop: asyncio.AbstractEventLoop, kind: Kind) -> None:
    """Twice, and in a group, where whoever waits for it hears of it."""
    seen: list[str] = []

    async def beside() -> None:
        for number in range(20):
            await asyncio.sleep(0.001)
            seen.append(f"{number}")

    async def main() -> str:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(beside())
            for _ in range(2):
                lost = loop.create_task(leaving(kind)())
                await asyncio.wait([lost])
                assert isinstance(lost.exception(), kind)
        return "done"

    with capture_logs() as lines:
        assert run_until_main_ends(loop, main()) == "done"

    assert len(seen) == 20
    assert [line["event"] for line in lines] == ["exit_request_ignored"] * 2


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
def test_the_main_task_may_leave(loop: asyncio.AbstractEventLoop, kind: Kind) -> None:
    """It is ours."""

    async def main() -> None:
        await leaving(kind)()

    with pytest.raises(kind):
        run_until_main_ends(loop, main())
