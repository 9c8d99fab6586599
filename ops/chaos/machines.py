"""What is done to machines rather than to processes: a disk without room, a clock that is set, a cache that dies."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from ops.chaos.workers import Workers
from ops.embedded.cluster import Node
from ops.embedded.valkey import Valkey

LIMITS_FILES = sys.platform == "linux"
"""Whether the size of another process's files can be limited while it runs."""

ROOM = 4096
"""Bytes to which each file of a full disk may grow; every log of a broker at work is longer."""

CRASH_S = 5.0
"""For a broker to find out that it cannot write, and to end."""

AWAY_S = (1.0, 6.0)
STEP_S = 300.0
"""Either way."""


@dataclass(slots=True)
class Machines:
    """Hands for that; each returns when it has made good what it did."""

    valkey: Valkey
    workers: Workers
    random: random.Random

    async def fill_disk(self, node: Node) -> None:
        """The broker can write nothing more, and ends; then it gets its room back and starts again.

        A limit on the size of its files stands for the disk: a write beyond it fails as on a full one, and no other
        process loses its room.
        """
        limit_files(node.pid)
        await node.ended(CRASH_S)
        await node.start()

    async def lose_valkey(self) -> None:
        """SIGKILL, and back after a while, on the same port."""
        await self.valkey.kill()
        await asyncio.sleep(self.random.uniform(*AWAY_S))
        await self.valkey.start()

    async def set_clock(self) -> None:
        """The wall clock of a worker is five minutes wrong for a while."""
        worker = self.workers.choose()
        if worker is not None:
            self.workers.set_clock(worker, self.random.choice((-STEP_S, STEP_S)))
            await asyncio.sleep(self.random.uniform(5.0, 20.0))
            self.workers.set_clock(worker, 0)


def limit_files(pid: int, room: int = ROOM) -> None:
    """No file of process *pid* may grow beyond *room* bytes from now on."""
    import resource  # noqa: PLC0415 - not there on every platform

    _, most = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (room, most))


def possible(kinds: Sequence[str]) -> list[str]:
    """Those of *kinds* that this machine can do."""
    return [kind for kind in kinds if kind != "disk" or LIMITS_FILES]
