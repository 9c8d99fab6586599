"""What a long-running worker asks of its interpreter and of the kernel."""

from __future__ import annotations

import gc
import resource

import structlog

FILES = 65_536
"""Thousands of model calls are in flight at once, and each is a socket."""

ENOUGH = 12_000
"""Below it the operator is told."""

YOUNG = 10_000
"""Objects between two collections of the youngest generation; the default of 700 costs 12 to 16 us a record."""

log = structlog.get_logger()


def tune() -> None:
    """Leave what was imported out of every collection, collect less often, and open as many files as allowed."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *gc.get_threshold()[1:])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    if wanted < ENOUGH:
        log.warning("few_files_allowed", allowed=wanted, enough=ENOUGH)
