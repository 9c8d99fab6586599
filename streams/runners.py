"""Runs coroutines beside each other, and those that never wait one after another in one task.

A task for each costs more than the coroutine itself, where that is short. So once many in a row have run to their end
without waiting, one task takes them all; the first that waits keeps it, and the others get tasks of their own again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import copy_context
from typing import Generic, TypeAlias, TypeVar

SURE = 100
"""Coroutines in a row that have not waited before the next are expected not to. Where some wait and some do not, each
has its task: what shares one with a coroutine that waits begins a turn of the loop later."""

Item = TypeVar("Item")
Task: TypeAlias = "asyncio.Task[None]"


class Runners(Generic[Item]):
    """Calls *run* for each item, with the task in which it runs, in the order in which they came; each begins in the
    next turn of the loop.

    Nothing is handed on from one item to the next: a task whose context variables have been changed, or that has been
    cancelled, takes no other. Whoever awaits anything in *run* keeps the task: asyncio does not.
    """

    def __init__(self, run: Callable[[Item, Task], Coroutine[object, object, None]]) -> None:
        self._run = run
        self._ready: deque[tuple[int, Item, bool]] = deque()
        """What no task has taken: its number, and whether a task may take it that was there before it."""

        self._added = 0
        self._coming = 0
        """Tasks that have not begun."""

        self._straight = 0
        """Items in a row that have not waited."""

        self._context = copy_context()
        """In which every task begins, whoever makes it."""

        self._turn = 0
        self._looks = False

    def add(self, item: Item, *, early: bool) -> None:
        """Run *item* soon; unless it may be *early*, behind everything that the loop has to do already."""
        self._added += 1
        self._ready.append((self._added, item, early))
        if not early or self._straight < SURE or not self._coming:
            self._begin()

    def _begin(self) -> None:
        self._coming += 1
        work = self._work(self._added)  # the loop knows its task until it begins, and then whoever it runs for does
        asyncio.get_running_loop().create_task(work, context=self._context.copy())

    async def _work(self, last: int) -> None:
        """Item after item, up to the *last* that came before this task, and beyond it what may be early."""
        self._coming -= 1
        task, ready, run = current(), self._ready, self._run
        while ready and (ready[0][0] <= last or ready[0][2]):
            if not self._looks:
                self._looks = True
                task.get_loop().call_soon(self._look)
            turn = self._turn
            await run(ready.popleft()[1], task)
            self._straight = self._straight + 1 if turn == self._turn else 0
            if ready and not self._is_clean(task):
                return

    def _look(self) -> None:
        """If what has begun waits, or has ended its task, what has not begun needs tasks of its own."""
        self._looks = False
        self._turn += 1
        if self._ready and not self._coming:
            self._straight = 0
            for _ in range(len(self._ready)):
                self._begin()

    def _is_clean(self, task: Task) -> bool:
        """Whether *task*, which runs, is as it was: by identity, since what is equal may be changed later."""
        now, before = copy_context(), self._context
        if len(now) != len(before) or task.cancelling():
            return False
        for variable, value in now.items():  # noqa: SIM110 - a generator for every item costs more than all of this
            if before.get(variable, now) is not value:
                return False
        return True


def current() -> Task:
    """The task that runs."""
    task: Task | None = asyncio.current_task()
    if task is None:
        raise RuntimeError("only a task can run this")
    return task
