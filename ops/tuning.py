"""Tune the interpreter and the kernel's limits for a long-running worker."""

from __future__ import annotations

import gc
import resource

import structlog

FILES = 65_536
"""Open files wanted: thousands of model calls are in flight at once, and each is a socket."""

ENOUGH = 12_000
"""Open files below which the operator is warned."""

YOUNG = 10_000
"""Objects between two collections of the youngest generation; the default of 700 costs 12 to 16 us a record."""

log = structlog.get_logger()


def tune() -> None:
    """Exclude imported objects from garbage collection, collect less often, and raise the limit of open files."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if wanted < ENOUGH:
        log.warning("file_limit_low", allowed=wanted, enough=ENOUGH)
