"""One child process: how it is waited for, stopped, and what it says when it fails."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from ops.embedded.children import ChildProcess, started
from ops.embedded.errors import ChildEndedError, NotReadyError, NotTheMainThreadError
from schemas.clock import SystemClock
from tests.integration.processes import alive

pytestmark = pytest.mark.anyio


def _shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


DEAF = _shell("trap '' TERM; echo deaf; while :; do sleep 0.1; done")


async def _printed(log: Path) -> None:
    async with asyncio.timeout(30):
        while not log.read_text():  # noqa: ASYNC110  (a program has no event to set)
            await asyncio.sleep(0.02)


async def _never() -> bool:
    return False


async def test_a_child_that_ends_at_start_is_reported_with_its_last_words(tmp_path: Path) -> None:
    """The reason is in its log; nobody should have to look for it."""
    log = tmp_path / "log"
    async with started(
        "the child", _shell("echo first; echo why; echo '  at a stack'; exit 3"), log, grace=1.0
    ) as child:
        with pytest.raises(ChildEndedError) as ended:
            await child.ready(_never, within=10.0)

    assert str(ended.value) == f"the child ended at start with status 3: why (log: {log})"
    assert ended.value.tail == ["first", "why", "  at a stack"]


async def test_a_child_that_never_answers_is_given_up(tmp_path: Path) -> None:
    """Every wait has an end, and the child ends with it."""
    async with started("the child", _shell("exec sleep 60"), tmp_path / "log", grace=1.0) as child:
        with pytest.raises(NotReadyError, match=r"^the child did not answer within 0 s: .*$"):
            await child.ready(_never, within=0.2)

    assert not alive(child.pid)


@pytest.mark.parametrize("kernel", [True, False])
async def test_a_child_that_ignores_sigterm_is_killed_after_its_grace(tmp_path: Path, *, kernel: bool) -> None:
    """Polite first, final in the end; its pid is the command's own on every system."""
    clock = SystemClock()
    async with started("the child", DEAF, tmp_path / "log", grace=0.5, kernel=kernel) as child:
        await _printed(tmp_path / "log")
        asked = clock.monotonic()

    assert clock.monotonic() - asked >= 0.5
    assert not alive(child.pid)


async def test_a_child_is_started_on_the_main_thread_only(tmp_path: Path) -> None:
    """The kernel ends it with the thread that started it, not with the process."""

    async def start() -> None:
        async with started("the child", _shell("exec sleep 60"), tmp_path / "log", grace=1.0):
            pass

    with pytest.raises(NotTheMainThreadError, match="main thread"):
        await asyncio.to_thread(lambda: asyncio.run(start()))


async def test_a_cancelled_stop_kills(tmp_path: Path) -> None:
    """Whoever presses Ctrl-C twice does not wait, and leaves no process either."""
    seen: list[ChildProcess] = []

    async def interrupted() -> None:
        async with asyncio.timeout(None) as limit, started("the child", DEAF, tmp_path / "log", grace=60.0) as child:
            seen.append(child)
            await _printed(tmp_path / "log")
            limit.reschedule(asyncio.get_running_loop().time() + 0.2)

    with pytest.raises(TimeoutError):
        await interrupted()

    async with asyncio.timeout(5):
        await seen[0].process.wait()
    assert not alive(seen[0].pid)


async def test_the_log_of_the_run_before_is_kept_and_private(tmp_path: Path) -> None:
    """It says why that run ended; an empty one says nothing. Nobody else of this machine may read either."""
    log = tmp_path / "child.log"
    log.write_text("from an older version\n")
    log.chmod(0o644)
    for script in ("echo first; exit 3", "echo second; exit 3", "exit 3", "echo last; exit 3"):
        async with started("the child", _shell(script), log, grace=1.0) as child:
            with pytest.raises(ChildEndedError):
                await child.finished()
        if script == "echo first; exit 3":
            assert (tmp_path / "child.before.log").read_text() == "from an older version\n"

    assert (log.read_text(), (tmp_path / "child.before.log").read_text()) == ("last\n", "second\n")
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
