"""Check that no record needs a seal key that is about to be retired."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Collection

from ops import registry_writer
from ops.errors import SealKeyInUseError
from ops.seal_keys import listed
from ops.unfinished import unfinished
from schemas.clock import SystemClock
from schemas.headers import SEAL, Headers
from schemas.records import Record
from schemas.seals import key_id
from streams.registry.tenants import TenantRegistry
from streams.stages import run_controls
from streams.transport.connection import Connection
from streams.transport.reader import Reader

NAME = "headrace-seal-retirement"


async def check_retirement(connection: Connection, kids: Collection[str]) -> None:
    """Raise SealKeyInUseError if an unfinished record, or a cancel of a run that may continue, is sealed with *kids*.

    Stages that still seal with one of them are not found by this: they write such records later.
    """
    registry = await registry_writer.load(connection)
    if registry.layout is None or not listed(registry).keys() & set(kids):
        return
    found = Counter[tuple[str, str]]()
    for records in (unfinished(connection, registry.layout), _controls(connection, registry)):
        async for record in records:
            if (kid := key_id(Headers(record.headers).text(SEAL))) in kids:
                found[kid, record.topic] += 1
    for (kid, topic), count in found.items():
        raise SealKeyInUseError(kid, topic, count)


async def _controls(connection: Connection, registry: TenantRegistry) -> AsyncGenerator[Record]:
    """Yield the control records that a stage reads when it starts."""
    place, since_ms = run_controls.PARTITION, SystemClock().now_ms() - run_controls.reach_ms(registry.tenants.values())
    async with await Reader.open(connection, (), name=NAME) as reader:
        await reader.add([place], await reader.since(since_ms, [place]))
        async for record in reader.until(await reader.high_watermarks()):
            yield record
