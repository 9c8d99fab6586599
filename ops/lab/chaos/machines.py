"""Faults of a machine: a full disk, a clock that is set, and a cache that is killed."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from ops.embedded.cluster import Node
from ops.embedded.valkey import Valkey
from ops.lab.chaos.workers import WorkerProcesses

LIMITS_FILES = sys.platform == "linux"
"""True if another process's file size can be limited while it runs."""

ROOM = 4096
"""The size limit of each file on a full disk, in bytes. Every log of a running broker is longer."""

CRASH_S = 5.0
"""Seconds for a broker to detect that it cannot write, and to exit."""

AWAY_S = (1.0, 6.0)
STEP_S = 300.0
"""Seconds that a clock is set forward or back."""


@dataclass(slots=True)
class Machines:
    """Apply machine faults. Each method returns once its fault is undone."""

    valkey: Valkey
    workers: WorkerProcesses
    random: random.Random

    async def fill_disk(self, node: Node) -> None:
        """Make the broker's writes fail until it exits, then remove the limit and start it again.

        A limit on the size of its files simulates the disk. A write beyond it fails as on a full disk, and no other
        process is affected.
        """
        limit_files(node.pid)
        await node.ended(CRASH_S)
        await node.start()

    async def lose_valkey(self) -> None:
        """Kill Valkey with SIGKILL, and restart it after a while on the same port."""
        await self.valkey.kill()
        await asyncio.sleep(self.random.uniform(*AWAY_S))
        await self.valkey.start()

    async def set_clock(self) -> None:
        """Set the wall clock of one worker wrong by ``STEP_S`` for a while."""
        worker = self.workers.choose()
        if worker is not None:
            self.workers.set_clock(worker, self.random.choice((-STEP_S, STEP_S)))
            await asyncio.sleep(self.random.uniform(5.0, 20.0))
            self.workers.set_clock(worker, 0)


def limit_files(pid: int, room: int = ROOM) -> None:
    """Limit every file of process *pid* to *room* bytes from now on."""
    import resource  # noqa: PLC0415 - not there on every platform

    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (room, most))


def possible(kinds: Sequence[str]) -> list[str]:
    """Return the kinds in *kinds* that this machine supports."""
    return [kind for kind in kinds if kind != "disk" or LIMITS_FILES]
