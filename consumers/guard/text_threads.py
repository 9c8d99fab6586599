"""Text work in a thread: for short-lived programs. A thread holds the interpreter for a whole step of its work."""

from __future__ import annotations

import asyncio
from typing import Any

from consumers.guard.text_tasks import text_task


async def text_thread(tenant: str, task: str, *texts: str) -> tuple[Any, ...]:  # noqa: ARG001 - the seam gives the tenant
    """Return the task's result."""
    return await asyncio.to_thread(text_task(task), *texts)
