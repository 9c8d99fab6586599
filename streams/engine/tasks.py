"""The background tasks of one worker.

It is not a TaskGroup: the worker outlives the scope that starts it. A task that fails must not cancel the transactions
of its siblings. The failure is reported instead, and the worker ends in its own order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import structlog

log = structlog.get_logger()


class Tasks:
    """Owns the tasks that it spawns until they end. *failed* is called for each exception."""

    def __init__(self, failed: Callable[[str], None]) -> None:
        self._failed = failed
        self._running: set[asyncio.Task[None]] = set()

    def spawn(self, work: Coroutine[object, object, None]) -> asyncio.Task[None]:
        """Run *work* in the background."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task_died", error=repr(error), exc_info=error)
            self._failed(f"a background task died: {error!r}")

    async def end(self, timeout_s: float) -> None:
        """Cancel all tasks, and wait at most *timeout_s* seconds for them."""
        running = [task for task in self._running if task is not asyncio.current_task()]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=timeout_s)
