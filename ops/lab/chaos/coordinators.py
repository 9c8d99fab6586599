"""Find the broker that coordinates a group or a transactional id, or that leads a partition."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from schemas.topics import SCREENED
from streams.transport.admin import Admin
from streams.transport.errors import TransportError

TRIES, PAUSE_S = 10, 0.5
OFFSETS, TRANSACTIONS = "__consumer_offsets", "__transaction_state"

log = structlog.get_logger()


def hash_of(text: str) -> int:
    """Return Java's ``String.hashCode`` without its sign, as Kafka chooses the partition of a group or an id."""
    value = 0
    for character in text:
        value = (31 * value + ord(character)) & 0xFFFFFFFF
    return value & 0x7FFFFFFF


@dataclass(frozen=True, slots=True)
class Coordinators:
    """The coordinators and leaders of a provisioned cluster."""

    admin: Admin
    groups: Sequence[str]
    shards: int

    async def some(self, chance: random.Random) -> int | None:
        """Return the node id of a random coordinator or leader, or None if the cluster does not report one."""
        group = chance.choice(self.groups)
        topic, name = chance.choice(
            (
                (OFFSETS, group),
                (TRANSACTIONS, f"{group}|1|{chance.randrange(self.shards)}"),
                (SCREENED.name, str(chance.random())),
            )
        )
        leaders = await self._leaders(topic)
        return leaders.get(hash_of(name) % len(leaders)) if leaders else None

    async def _leaders(self, topic: str) -> dict[int, int]:
        """Return the leaders of *topic*. Retry while the broker is unreachable; return {} after ``TRIES`` attempts."""
        for _ in range(TRIES):
            try:
                return await self.admin.leaders(topic)
            except TransportError as error:
                log.info("coordinator_unknown", topic=topic, error=str(error))
                await asyncio.sleep(PAUSE_S)
        return {}
