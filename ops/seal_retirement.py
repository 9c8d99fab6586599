"""Check that no record needs a seal key that is about to be retired."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Collection

from pydantic import ValidationError

from ops import registry_writer
from ops.errors import SealKeyInUseError
from ops.seal_keys import listed
from ops.unfinished import admission_key_in, unfinished
from schemas.clock import SystemClock
from schemas.control import RunControl
from schemas.headers import SEAL, Headers
from schemas.records import Record
from schemas.seals import key_id
from streams.registry.tenants import TenantRegistry
from streams.stages import run_controls
from streams.transport.connection import Connection
from streams.transport.reader import Reader

NAME = "headrace-seal-retirement"


async def check_retirement(connection: Connection, kids: Collection[str]) -> None:
    """Raise SealKeyInUseError if an unfinished record, or a cancel of an unfinished run, is sealed with *kids*.

    Stages that still seal with one of them are not found by this: they write such records later.
    """
    registry = await registry_writer.load(connection)
    if registry.layout is None or not listed(registry).keys() & set(kids):
        return
    found, open_keys = Counter[tuple[str, str]](), set[str | None]()
    async for record in unfinished(connection, registry.layout):
        open_keys.add(admission_key_in(record))
        if (kid := _kid(record)) in kids:
            found[kid, record.topic] += 1
    async for record in _controls(connection, registry):
        if (kid := _kid(record)) in kids and _cancelled(record) in open_keys:
            found[kid, record.topic] += 1
    for (kid, topic), count in found.items():
        raise SealKeyInUseError(kid, topic, count)


def _kid(record: Record) -> str:
    return key_id(Headers(record.headers).text(SEAL))


def _cancelled(record: Record) -> str:
    """Return the admission key of the run that a control record cancels; empty if no stage could read it either."""
    try:
        control = RunControl.model_validate_json(record.value or b"")
    except ValidationError:
        return ""
    return f"{control.tenant}|{control.run_id}"


async def _controls(connection: Connection, registry: TenantRegistry) -> AsyncGenerator[Record]:
    """Yield the control records that a stage reads when it starts."""
    place, since_ms = run_controls.PARTITION, SystemClock().now_ms() - run_controls.reach_ms(registry.tenants.values())
    async with await Reader.open(connection, (), name=NAME) as reader:
        await reader.add([place], await reader.since(since_ms, [place]))
        async for record in reader.until(await reader.high_watermarks()):
            yield record
