"""The origin of a cancellation: the run's own task was cancelled, or an awaitable inside it."""

from __future__ import annotations

import asyncio


def cancel_count() -> int:
    """Return the number of cancel requests that this task has received.

    Compare the number before and after: a CancelledError without a higher number was raised inside the task. One number
    alone proves nothing, since a long-lived task may hold an earlier request.
    """
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0
