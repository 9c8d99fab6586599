"""Which fetches are bounded, and what is remembered of them."""

from __future__ import annotations

import gzip
from types import SimpleNamespace
from typing import Any

import pytest

from schemas.records import Partition
from streams.transport.fetch_bounds import FetchBounds
from tests.integration.raw import Raw, batch, record

pytestmark = pytest.mark.anyio

MANY = batch([Raw(b"k", b"v", [(b"", None)] * 1_000)])
PLACE = Partition("tenants.acme.requests", 3)


async def fetched(bounds: FetchBounds, data: bytes, topic: str = PLACE.topic) -> tuple[bytes, Any]:
    """The data of a fetch after the bounds, and the faults."""
    request = SimpleNamespace(topics=[(topic, [(3, 0, 1)])])
    answer = SimpleNamespace(topics=[(topic, [(3, 0, 9, data)])])
    faults = await bounds.apply(request, answer)
    return answer.topics[0][1][0][-1], faults


async def test_only_what_tenants_write_is_bounded() -> None:
    """The platform's own records may have what the platform gives them."""
    bounds = FetchBounds()
    assert await fetched(bounds, MANY, "platform.screened") == (MANY, {})
    data, faults = await fetched(bounds, MANY)
    assert len(data) < len(MANY)
    assert not faults
    assert set(bounds.missing[PLACE]) == {0}


async def test_a_later_fetch_of_whole_records_forgets_what_was_cut() -> None:
    """Memory does not grow with the number of fetches."""
    bounds = FetchBounds()
    await fetched(bounds, MANY)
    await fetched(bounds, batch([Raw()]))
    assert not bounds.missing


async def test_a_batch_that_cannot_be_unpacked_is_a_fault() -> None:
    """It is unpacked in a thread if it is large."""
    body = gzip.compress(record(Raw(None, b"%r" % list(range(3_000))), 0))
    for broken in (body[:-9], b"not gzip"):
        data, faults = await fetched(FetchBounds(), batch([Raw()], attributes=1, body=broken))
        assert (data, faults[PLACE].offset) == (b"", 0)
    data, faults = await fetched(FetchBounds(), batch([Raw()], attributes=1, body=body))
    assert len(data) > len(body)
    assert not faults
