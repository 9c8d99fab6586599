"""The thread pool: it runs plain functions of users beside the event loop, in a bounded number of threads.

Python cannot end a thread. So a function that outlives its deadline keeps its thread and its slot until it returns,
and later calls wait for the other slots. asyncio's own pool is unsuitable: its threads also resolve host names, and
hold up the end of the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Generic, TypeVar, TypeVarTuple

from consumers.resilience.deadline import Deadline

T = TypeVar("T")
A = TypeVarTuple("A")

SIZE = 64
"""Threads of a pool, unless told otherwise."""


@dataclass(slots=True)
class _Call(Generic[T]):
    """One call: a thread fills in its outcome, and its caller waits for ``ended``."""

    function: Callable[[], T]
    context: Context
    ended: asyncio.Future[None]
    outcome: list[T] = field(default_factory=list[T])
    error: BaseException | None = None

    def run(self) -> None:
        """Call the function, in the context of its caller."""
        try:
            self.outcome.append(self.context.run(self.function))
        except BaseException as error:  # noqa: BLE001 - it belongs to the caller, in the caller's task
            self.error = error

    def result(self) -> T:
        """Return or raise the outcome."""
        try:
            if self.error is not None:
                raise self.error
            return self.outcome[0]
        finally:
            self.error = None  # its traceback refers to this call


class ThreadPool:
    """At most *size* threads, started when they are needed. *abandoned* is called when a caller leaves a thread.

    Its counters belong to the event loop: only ``_Call.run`` runs in a thread.
    """

    def __init__(self, size: int = SIZE, abandoned: Callable[[], None] = lambda: None) -> None:
        self.size = size
        self.running = 0
        """Slots in use, those of abandoned functions included."""

        self.overdue = 0
        """Functions that still run although their caller has left, at its deadline or by a cancel."""

        self._abandoned = abandoned
        self._slots = asyncio.Semaphore(size)
        self._idle = 0
        self._calls: SimpleQueue[tuple[Callable[[], None], Callable[[], None]]] = SimpleQueue()

    async def run(self, function: Callable[[*A], T], *args: *A, deadline: Deadline) -> T:
        """Return or raise what *function* does with *args* in a thread that has the caller's context variables.

        Raises ExpiredError at the deadline, also while no slot is free. The thread then runs on and keeps its slot.
        """
        async with deadline.enforced():
            await self._slots.acquire()
            call = _Call(partial(function, *args), copy_context(), asyncio.get_running_loop().create_future())
            self._begin(call)
            try:
                await call.ended
            except asyncio.CancelledError:
                if call.ended.cancelled():
                    self.overdue += 1
                    self._abandoned()
                raise
        return call.result()

    def _begin(self, call: _Call[T]) -> None:
        """Give the call to a thread that waits, or to a new one. The caller has taken a slot."""
        loop = asyncio.get_running_loop()
        try:
            self._need_thread()
        except RuntimeError:  # the system refuses another thread
            self._slots.release()
            raise
        self.running += 1
        self._calls.put((call.run, partial(_tell, loop, partial(self._end, call.ended))))

    def _need_thread(self) -> None:
        if self._idle:
            self._idle -= 1
        else:
            Thread(target=self._work, name="headrace-thread", daemon=True).start()

    def _work(self) -> None:
        """Run calls, one after the other. A daemon thread does not hold up the end of the process."""
        while True:
            run, ended = self._calls.get()
            run()
            ended()
            del run, ended  # an idle thread keeps nothing of its last call

    def _end(self, ended: asyncio.Future[None]) -> None:
        """Free the slot of a call, and tell its caller unless it has left."""
        self.running -= 1
        self._idle += 1
        self._slots.release()
        if ended.cancelled():
            self.overdue -= 1
        else:
            ended.set_result(None)


def _tell(loop: asyncio.AbstractEventLoop, end: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
        loop.call_soon_threadsafe(end)
