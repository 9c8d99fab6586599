"""The memory of this process."""

from __future__ import annotations

import os
import resource
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")


def resident() -> int:
    """Return the bytes of memory that this process has now; on macOS, the most that it has had."""
    path = Path("/proc/self/statm")
    if path.exists():
        return int(path.read_text().split()[1]) * PAGE
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
