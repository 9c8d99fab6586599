"""What follows a topic outlives an outage, and nothing that no waiting mends."""

from __future__ import annotations

import asyncio

import pytest

import ops.retry_forever as retries
from ops.retry_forever import retry_forever
from streams.transport.errors import BrokerError, KafkaUnreachableError, OffsetLostError, TransportError

pytestmark = pytest.mark.anyio


async def test_a_broker_that_fails_is_followed_again_and_a_lost_offset_is_raised(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The one passes; the other means that something was missed."""
    monkeypatch.setattr(retries, "AGAIN_S", 0.0)
    errors: list[TransportError] = [BrokerError("a broker"), KafkaUnreachableError("nowhere"), OffsetLostError("gone")]

    async def follow() -> None:
        raise errors.pop(0)

    async with asyncio.timeout(5):
        with pytest.raises(OffsetLostError):
            await retry_forever(follow)
    assert errors == []
