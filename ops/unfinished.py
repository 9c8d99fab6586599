"""The records on the platform's topics that their stages have not finished."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import structlog
from pydantic_core import from_json

from schemas.records import Partition, Record
from schemas.tenants import Layout
from streams.journey import INNER_GROUPS, versioned
from streams.offsets.offset_map import Committed, decode
from streams.transport.connection import Connection
from streams.transport.groups import Groups
from streams.transport.reader import Reader

NAME = "headrace-unfinished"
READ_S = 300.0
"""Seconds allowed to read these records."""

log = structlog.get_logger()


async def unfinished(connection: Connection, layout: Layout) -> AsyncGenerator[Record]:
    """Yield every record that was not finished at the time of the call, and possibly some that are finished by now.

    A request moves from guard to agent, and between agent and retries. The groups' offsets are read in this order, and
    the ends of the logs after them. A request that moves meanwhile is therefore found at its later place.
    """
    states: dict[Partition, Committed] = {}
    async with await Groups.open(connection, name=NAME) as groups:
        for group, topics in INNER_GROUPS.items():
            offsets = await groups.offsets(versioned(group, layout.version))
            for place in (Partition(topic.name, number) for topic in topics for number in range(layout.shards)):
                offset, text = offsets.get(place, (0, ""))
                states[place] = Committed(offset, decode(offset, text))
    async with await Reader.open(connection, (), name=NAME) as reader:
        first = await reader.beginnings(states.keys())
        await reader.add(states.keys(), {place: max(first[place], state.offset) for place, state in states.items()})
        async for record in reader.until(await reader.high_watermarks(), READ_S):
            if not states[Partition(record.topic, record.partition)].holds(record.offset):
                yield record


def admission_key_in(record: Record) -> str | None:
    """Return the admission key in a stage record, without a check of its seal; None if it cannot be read."""
    try:
        stage_record = from_json(record.value or b"")
        key = stage_record.get("authorized", stage_record)["admission"]["key"]
    except (AttributeError, LookupError, TypeError, ValueError):
        log.warning("record_not_understood", topic=record.topic, position=record.position)
        return None
    return key if isinstance(key, str) else None
