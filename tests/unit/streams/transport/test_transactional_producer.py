"""What a shard's producer says before it has met a broker."""

from __future__ import annotations

import pytest

from schemas.clock import SystemClock
from streams.transport.connection import Connection
from streams.transport.transactional_producer import TransactionalProducer

pytestmark = pytest.mark.anyio


async def test_nothing_is_known_to_be_harmless_while_nobody_can_be_asked() -> None:
    """A connection that takes long is no reason to open the shard anew: it asks again."""
    producer = TransactionalProducer(
        Connection("127.0.0.1:1"), "an-id", SystemClock(), name="test", timeout_ms=8_000, request_timeout_ms=5_000
    )
    assert not await producer.harmless("an-id")
    await producer.kill()
