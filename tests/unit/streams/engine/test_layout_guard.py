"""A worker serves under the layout that it was started with, and under no other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import cast

import pytest

from schemas.records import Partition, Record
from schemas.tenants import LAYOUT_KEY, Layout, LayoutMove, RegistryRecord
from schemas.topics import TENANTS
from streams.engine.layout_guard import LayoutGuard, LayoutMovedError, admits
from streams.journey import INGRESS_STAGES, RETRIES
from streams.registry.tenants import TenantRegistry
from streams.transport.reader import Reader

pytestmark = pytest.mark.anyio

BEHIND = ("guard", "agent", RETRIES)
LAYOUT = Layout(version=3, shards=6, journey="split")
HALF = LAYOUT.model_copy(update={"next": LayoutMove(shards=6, journey="compact", closing="entry")})
CLOSED = LAYOUT.model_copy(update={"next": LayoutMove(shards=8, journey="split")})


class FakeReader:
    """Stands *behind* records before the end of the log."""

    def __init__(self, behind: int = 0) -> None:
        self.behind = behind

    async def high_watermarks(self, partitions: list[Partition]) -> dict[Partition, int]:
        return dict.fromkeys(partitions, 10)

    def position(self, _partition: Partition) -> int:
        return 10 - self.behind


def told(registry: TenantRegistry, layout: Layout | None) -> None:
    """The registry hears of *layout*."""
    value = None if layout is None else RegistryRecord(layout).model_dump_json().encode()
    registry.apply(Record(TENANTS.name, 0, 1, 1, LAYOUT_KEY.encode(), value, ()))


def layout_guard(stage: str = "agent", reader: FakeReader | None = None) -> LayoutGuard:
    """Of a stage under LAYOUT."""
    registry = TenantRegistry()
    told(registry, LAYOUT)
    return LayoutGuard(stage, LAYOUT, registry, cast("Reader", reader or FakeReader()))


@pytest.mark.parametrize(
    ("layout", "admitted"),
    [(LAYOUT, [*INGRESS_STAGES, *BEHIND]), (HALF, [*BEHIND]), (CLOSED, []), (None, [])],
)
def test_a_layout_on_its_way_closes_the_door_or_all(layout: Layout | None, admitted: list[str]) -> None:
    """What the next journey does not read is finished by those who read it now."""
    assert [stage for stage in (*INGRESS_STAGES, *BEHIND) if admits(layout, stage)] == admitted


@pytest.mark.parametrize("layout", [CLOSED, CLOSED.following(), None])
async def test_it_ends_when_the_layout_moves(layout: Layout | None) -> None:
    """Announced, made, or gone: it is not noticed by chance at the next rebalance."""
    one = layout_guard()
    async with asyncio.timeout(1), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(one.ended())
        await asyncio.sleep(0)
        told(one.registry, LAYOUT)
        await asyncio.sleep(0)
        assert not waiting.done()

        told(one.registry, layout)

    assert one.over


async def test_a_shard_opens_once_the_registry_is_known_to_its_end() -> None:
    """The announcement may have been written and not been read yet."""
    one, opened = layout_guard(reader=(reader := FakeReader(behind=1))), list[int]()

    async def remember(shard: int) -> None:
        opened.append(shard)

    with pytest.RaisesGroup(LayoutMovedError):
        async with asyncio.timeout(1), asyncio.TaskGroup() as tasks:
            opening = tasks.create_task(_awaited(one.guarding(remember)(4)))
            await asyncio.sleep(0.02)
            assert not opening.done()
            told(one.registry, CLOSED)
            reader.behind = 0

    assert opened == []
    told(one.registry, LAYOUT)
    await one.guarding(remember)(4)
    assert opened == [4]


async def _awaited(what: Awaitable[None]) -> None:
    await what


def test_the_layout_that_follows_is_the_next_version() -> None:
    """Groups and transactional ids carry it, so it is never used twice."""
    assert CLOSED.following() == Layout(version=4, shards=8, journey="split")
    with pytest.raises(ValueError, match="not being moved"):
        LAYOUT.following()
