"""Measure the CPU time of a guard: all of it, and the longest part for which it holds the event loop."""

from __future__ import annotations

import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType, coroutine
from typing import Any, Final, NamedTuple

from consumers.context import StepContext
from consumers.guard.content import Content
from consumers.guard.guards import Guard

STOP_S: Final = 5.0
"""CPU seconds after which a measurement is stopped."""

TIMES: Final = 3
"""Repetitions, of which the least counts."""

LONG_S: Final = 1.0
"""CPU seconds from which a measurement is not repeated."""


class OverrunError(BaseException):
    """A measurement took too long. Guards do not catch it."""


class CpuTime(NamedTuple):
    """CPU seconds of one judgement."""

    total: float
    """All threads of the process."""

    held: float
    """The most that the guard used between two waits."""


async def measured(guard: Guard, content: Content, context: StepContext) -> CpuTime:
    """Return the least CPU times of some judgements. Raise OverrunError after STOP_S of one of them."""
    found: list[CpuTime] = []
    while len(found) < TIMES and (not found or found[-1].total < LONG_S):
        began, steps = time.process_time(), [0.0]
        with _stopped_after(STOP_S):
            await _stepped(guard(content, context).__await__(), steps)
        found.append(CpuTime(time.process_time() - began, max(steps)))
    return CpuTime(min(each.total for each in found), min(each.held for each in found))


@coroutine
def _stepped(steps: Generator[Any, Any, object], seconds: list[float]) -> Generator[Any, Any, None]:
    """Drive a guard, and note the CPU seconds of each of its steps."""
    failure: BaseException | None = None
    while True:
        began = time.thread_time()
        try:
            waits = steps.send(None) if failure is None else steps.throw(failure)
        except StopIteration:
            return
        except Exception:  # noqa: BLE001 - its time counts, not its result
            return
        finally:
            seconds.append(time.thread_time() - began)
        try:
            yield waits
            failure = None
        except BaseException as error:  # noqa: BLE001 - it belongs to the guard
            failure = error


@contextmanager
def _stopped_after(seconds: float) -> Generator[None]:
    """Raise OverrunError in the block after so much CPU time, where the platform can."""
    if not hasattr(signal, "SIGVTALRM") or current_thread() is not main_thread():
        yield
        return

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise OverrunError

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
