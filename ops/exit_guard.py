"""Keep an event loop running when a background task asks the process to end: an agent's code may not do that."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

log = structlog.get_logger()

T = TypeVar("T")


def run_until_main_ends(loop: asyncio.AbstractEventLoop, main: Coroutine[Any, Any, T]) -> T:
    """Run *main* and return its result or raise its error, no matter what any other task raises.

    A SystemExit or KeyboardInterrupt passes through the loop, and would end a worker with runs of many tenants. Only
    the task that raised it ends; everything else continues. Signals are not affected: use the loop's signal handlers
    for them.
    """
    task = loop.create_task(main)
    while True:
        try:
            return loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:
            if task.done():
                raise
            log.error(  # noqa: TRY400 - the traceback would hold content
                "exit_request_ignored", error=repr(error), reason="a background task may not end its worker"
            )
