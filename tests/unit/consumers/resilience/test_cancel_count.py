"""Whose cancellation it is."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from consumers.resilience.cancel_count import cancel_count

pytestmark = pytest.mark.anyio


async def test_a_task_that_was_told_to_stop_before_is_not_told_again_by_a_raise() -> None:
    """A worker's lane swallows the cancellation of one job and goes on: the count it carries is nobody's news."""

    async def lane() -> tuple[int, int, int]:
        fresh = cancel_count()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        before = cancel_count()
        with suppress(asyncio.CancelledError):
            raise asyncio.CancelledError
        return fresh, before, cancel_count()

    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(lane())
        await asyncio.sleep(0)
        task.cancel()
    assert task.result() == (0, 1, 1)
