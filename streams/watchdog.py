"""Notices a client that has died or waits for ever; then the worker ends, and another takes over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from streams.runtime import Runtime

_LOOK_S = 2.0


async def watch(runtime: Runtime, busy: Callable[[], bool]) -> None:
    """Fail the worker when a background task of its client has ended, or *busy* shards make no progress."""
    clock = runtime.clock
    progress, since = _progress(runtime), clock.monotonic()
    while not runtime.stopping:
        await asyncio.sleep(_LOOK_S)
        _look_at_clients(runtime)
        now = _progress(runtime)
        if now != progress or not busy():
            progress, since = now, clock.monotonic()
        elif clock.monotonic() - since > runtime.parameters.watchdog_s:
            runtime.fail("completions wait, but no transaction ends")


def _progress(runtime: Runtime) -> tuple[int, int]:
    return runtime.stats["transactions"], runtime.stats["reopen"]


def _look_at_clients(runtime: Runtime) -> None:
    if runtime.stopping:
        return
    if runtime.fetcher.broken:
        runtime.fail("the client's fetching task ended")
    if runtime.membership.broken:
        runtime.fail("the client's group task ended")
