"""The facts about the machine that a benchmark's figures depend on."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from collections.abc import Awaitable
from typing import Any, TypeVar

from ops.tuning import tune

T = TypeVar("T")


def measured(work: Awaitable[T]) -> tuple[T, dict[str, Any]]:
    """Run *work* on the event loop and with the tuning of workers; return its result and the machine's facts."""
    tune()

    async def main() -> T:
        return await work

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        found = runner.run(main())
    return found, {"python": platform.python_version(), "cores": os.cpu_count(), "load": _load()}


def _loop_factory() -> Any:  # noqa: ANN401 - uvloop is not built for every platform
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - as above

    return uvloop.new_event_loop


def _load() -> float | None:
    """Return the load average of the last minute: above the number of cores, only ratios are meaningful."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
