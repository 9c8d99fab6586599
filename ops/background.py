"""Run a coroutine concurrently with a block."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any


@asynccontextmanager
async def background(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Run *work* while the block runs, and cancel it when the block ends.

    An exception of the block is raised as it is, not inside an ExceptionGroup.
    """
    failure: Exception | None = None
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(work)
        try:
            yield
        except Exception as error:  # noqa: BLE001 - raised again, outside of the group
            failure = error
        task.cancel()
    if failure is not None:
        raise failure
