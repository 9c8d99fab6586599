"""``python -m tests.recorded``: write Java's ahead-of-time cache, unless there is one.

`make test` starts Java some forty times, and each start from the cache takes half as long. Without it, tests are slower
and otherwise the same.
"""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from ops.embedded import java
from ops.embedded.jars import Jars
from ops.settings import Settings, cache_folder, maven_folder
from tests.journey.platform import platform

WRITTEN_S = 300.0
"""For a stop that writes the cache: some ten seconds, and minutes on a machine that does much else."""


async def recorded() -> bool:
    """Whether it is there, for the jars and the Java that the tests run."""
    cache = cache_folder()
    jars = Jars(cache / "jars", Settings().maven_repository, maven_folder())
    return java.found(await jars.ready(), cache / "aot").aot.exists()


def record() -> None:
    """What a platform and a request need is loaded, then written down while the broker stops."""
    with tempfile.TemporaryDirectory() as folder, platform("compact", Path(folder), "--record-aot") as own:
        own.cli("submit", "--tenant", "acme", "--agent", "echo", "--wait", "x")
        own.dev.stop(within=WRITTEN_S)


if __name__ == "__main__" and not asyncio.run(recorded()):
    record()
