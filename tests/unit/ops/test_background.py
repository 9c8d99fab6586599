"""Work beside a block."""

from __future__ import annotations

import asyncio

import pytest

from ops.background import background

pytestmark = pytest.mark.anyio


async def _until_cancelled(ended: asyncio.Event) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        ended.set()


async def _fail_beside(ended: asyncio.Event) -> None:
    async with background(_until_cancelled(ended)):
        await asyncio.sleep(0)
        raise LookupError("not here")


async def test_work_ends_with_its_block() -> None:
    """Whatever it is doing."""
    ended = asyncio.Event()
    async with background(_until_cancelled(ended)):
        await asyncio.sleep(0)
        assert not ended.is_set()

    assert ended.is_set()


async def test_an_error_of_the_block_stays_what_it_is() -> None:
    """Callers catch it by its class."""
    ended = asyncio.Event()
    with pytest.raises(LookupError, match="not here"):
        await _fail_beside(ended)

    assert ended.is_set()


async def test_an_error_of_the_work_ends_the_block() -> None:
    """It must not go on in the belief that somebody works beside it."""

    async def fail() -> None:
        await asyncio.sleep(0)
        raise LookupError("not here")

    with pytest.raises(ExceptionGroup, match="unhandled"):
        async with background(fail()):
            await asyncio.Event().wait()
