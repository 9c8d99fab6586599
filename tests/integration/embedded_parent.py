"""A process that starts children and waits to be killed: run with ``-m``, it takes WHAT FOLDER CACHE.

It prints one JSON line once they run. WHAT is ``stack``, or how a child learns of our death: ``kernel``, ``pipe``.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from ops.embedded.children import started
from ops.embedded.kafka import embedded_kafka
from ops.embedded.valkey import embedded_valkey


async def stack(folder: Path, cache: Path) -> None:
    """Kafka and Valkey."""
    async with embedded_kafka(folder / "kafka", cache) as kafka, embedded_valkey(folder / "valkey") as valkey:
        tell(pids=[kafka.pid, valkey.pid], kafka=kafka.bootstrap, valkey=valkey.url)
        await asyncio.Event().wait()


async def kernel(folder: Path, _cache: Path) -> None:
    """A child that would outlive us, told by the kernel."""
    await sleeper(folder, kernel=True)


async def pipe(folder: Path, _cache: Path) -> None:
    """A child that would outlive us, told by a pipe."""
    await sleeper(folder, kernel=False)


async def sleeper(folder: Path, *, kernel: bool) -> None:
    """A child without a reason to end."""
    async with started("sleep", ["/bin/sleep", "600"], folder / "log", grace=1.0, kernel=kernel) as child:
        tell(pids=[child.pid])
        await asyncio.Event().wait()


def tell(**facts: object) -> None:
    """Say what runs."""
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    what = {"stack": stack, "kernel": kernel, "pipe": pipe}[sys.argv[1]]
    asyncio.run(what(Path(sys.argv[2]), Path(sys.argv[3])))
