"""A loop that goes on when a task beside the main one asks its process to end: an agent's code may not do that."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

log = structlog.get_logger()

T = TypeVar("T")


def run_whatever_is_raised(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, T]) -> T:
    """What *main* returns or raises, whatever any other task raises.

    A SystemExit or KeyboardInterrupt goes through the loop, and would end a worker that has the runs of many tenants.
    The task that raised it has ended by it; everything else goes on where it was. Signals are not concerned: whoever
    wants them has a handler of the loop's.
    """
    task = loop.create_task(main)
    while True:
        try:
            return loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:
            if task.done():
                raise
            log.error(  # noqa: TRY400 - the traceback would hold content
                "exit_refused", error=repr(error), reason="a background task may not end its worker"
            )
