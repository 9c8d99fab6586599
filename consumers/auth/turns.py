"""Waiting to be called: in the order of asking, and whoever goes away costs nobody anything."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeAlias

Turn: TypeAlias = "asyncio.Future[bool]"
"""True: called. False: what waits is not wanted any more."""

Queue: TypeAlias = "OrderedDict[Turn, None]"
"""Who waits, in the order of asking."""


async def wait(queue: Queue, turn: Turn, give_back: Callable[[], None]) -> bool:
    """Wait in *queue*. Called and cancelled at once, what was called for is given back."""
    queue[turn] = None
    try:
        called = await turn
    except asyncio.CancelledError:
        queue.pop(turn, None)
        if not turn.cancelled() and turn.result():
            give_back()
        raise
    if not called:
        queue.pop(turn, None)
    return called


def call(queue: Queue) -> bool:
    """Call the first that still waits; False if nobody does."""
    while queue:
        turn, _ = queue.popitem(last=False)
        if not turn.done():
            turn.set_result(True)
            return True
    return False


def withdraw(turn: Turn) -> None:
    """It is not wanted any more; one who has been called finds out by itself."""
    if not turn.done():
        turn.set_result(False)
