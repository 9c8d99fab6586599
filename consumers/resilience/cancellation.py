"""Whose cancellation it is: the run was taken back, or something within gave up."""

from __future__ import annotations

import asyncio


def cancellations() -> int:
    """How often this task has been told to stop.

    Ask before and after: a CancelledError without a higher count was raised from within. The count alone says nothing,
    for a task that lives long may carry one from before.
    """
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0
