"""The thread that watches the event loop."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import FrameType, SimpleNamespace
from typing import Any, cast

from structlog.testing import capture_logs

from streams.engine import loop_watch
from streams.engine.loop_watch import BLOCKED, LoopWatch
from streams.engine.runtime import Runtime


def _blame(_frame: FrameType) -> Mapping[str, object]:
    return {"agent": "shout"}


def _watch(*, ends: bool, ended: list[int]) -> tuple[LoopWatch, SimpleNamespace]:
    """A watch of this thread, which looks once a second."""
    runtime = SimpleNamespace(
        beat_at=0.0,
        config=SimpleNamespace(ends_blocked=ends, watchdog_s=30.0),
        handler=SimpleNamespace(group="g", blame=_blame),
    )
    watch = LoopWatch(cast("Runtime", runtime), look_s=1.0, end=ended.append, thread=threading.get_ident())
    watch.look()
    return watch, runtime


def _reports(watch: LoopWatch, looks: int) -> list[Any]:
    with capture_logs() as lines:
        for _ in range(looks):
            watch.look()
    return list(lines)


def test_a_block_is_reported_from_a_second_on_and_then_ever_less_often() -> None:
    """With the agent and the stack: the log is the only witness of a block that never ends."""
    watch, _ = _watch(ends=False, ended=[])
    reports = _reports(watch, 60)

    assert [each["seconds"] for each in reports] == [1, 2, 4, 8, 16, 32]
    assert {each["event"] for each in reports} == {"loop_blocked"}
    assert reports[0]["agent"] == "shout"
    assert any("test_loop_watch.py" in call for call in reports[0]["at"])


def test_a_loop_that_runs_is_not_reported() -> None:
    """Each beat starts the count anew."""
    watch, runtime = _watch(ends=True, ended=[])
    reports: list[Any] = []
    for _ in range(100):
        runtime.beat_at += 1
        reports += _reports(watch, 1)

    assert reports == []


def test_a_block_as_long_as_the_watchdogs_limit_ends_the_process_if_it_may() -> None:
    """A supervisor starts another, which finds the mark of this one."""
    ended: list[int] = []
    _reports(_watch(ends=False, ended=ended)[0], 60)
    assert ended == []

    reports = _reports(_watch(ends=True, ended=ended)[0], 32)
    assert ended == [BLOCKED]
    assert [each["ends"] for each in reports] == [False] * 5 + [True]


def test_a_person_in_a_debugger_is_no_fault() -> None:
    """A breakpoint holds the loop for as long as somebody reads."""
    watch, _ = _watch(ends=True, ended=[])
    scope: dict[str, Any] = {"__name__": "pdb", "look": lambda: _reports(watch, 60)}
    exec("def interaction():\n    return look()", scope)  # noqa: S102 - a frame of another module

    assert scope["interaction"]() == []


def test_the_thread_ends_with_its_block() -> None:
    """A worker that has stopped leaves no thread behind that could end the process."""
    _, runtime = _watch(ends=True, ended=[])
    with loop_watch.watched_loop(cast("Runtime", runtime)):
        (thread,) = [each for each in threading.enumerate() if each.name == "headrace-loop-watch"]
        assert thread.daemon
    thread.join(5)
    assert not thread.is_alive()
