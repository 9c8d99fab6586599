"""A first-in, first-out queue of waiters. A waiter that leaves delays no other."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeAlias

Waiter: TypeAlias = "asyncio.Future[bool]"
"""The future of one waiter. True: it was called. False: its request was withdrawn."""

WaitQueue: TypeAlias = "OrderedDict[Waiter, None]"
"""The waiters, in order of arrival."""


async def wait(queue: WaitQueue, waiter: Waiter, give_back: Callable[[], None]) -> bool:
    """Wait in *queue* until called; return False if withdrawn. Call ``give_back`` if cancelled after the call."""
    queue[waiter] = None
    try:
        called = await waiter
    except asyncio.CancelledError:
        queue.pop(waiter, None)
        if not waiter.cancelled() and waiter.result():
            give_back()
        raise
    if not called:
        queue.pop(waiter, None)
    return called


def wake_first(queue: WaitQueue) -> bool:
    """Call the first waiter that still waits; return False if there is none."""
    while queue:
        waiter, _ = queue.popitem(last=False)
        if not waiter.done():
            waiter.set_result(True)
            return True
    return False


def withdraw(waiter: Waiter) -> None:
    """Withdraw a waiter's request. A waiter that was called already has to check for itself."""
    if not waiter.done():
        waiter.set_result(False)
