"""Committed offsets: "not now" is never taken for "nothing"."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from schemas.records import Partition
from streams.transport.aiokafka_types import Untyped, errors
from streams.transport.errors import AccessDeniedError, BrokerError
from streams.transport.offsets import fetch_committed

pytestmark = pytest.mark.anyio

PLACE = Partition("in", 3)
LOADING, NOT_AVAILABLE, NOT_COORDINATOR = 14, 15, 16
DENIED, INVALID_GROUP = 30, 24


class Broker:
    """Answers each OffsetFetch with the next of *answers*: an error code, an error, or rows."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.lookups = self.refreshed = 0

    async def coordinator_lookup(self, kind: object, group: str) -> int:
        self.lookups += 1
        return self.lookups

    async def send(self, node: int, request: object, *, group: object) -> Untyped:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        code, rows = answer if isinstance(answer, tuple) else (answer, [])
        return SimpleNamespace(error_code=code, topics=[("in", rows)] if rows else [])

    def force_metadata_update(self) -> None:
        self.refreshed += 1


def row(offset: int, text: str = "", code: int = 0) -> tuple[int, int, str, int]:
    """One partition's part of an answer."""
    return (3, offset, text, code)


@pytest.mark.parametrize("code", [LOADING, NOT_AVAILABLE, NOT_COORDINATOR])
async def test_a_coordinator_that_cannot_answer_now_is_asked_again(code: int) -> None:
    """aiokafka reports "nothing committed" here, and everything would run again."""
    broker = Broker(code, (0, [row(5, "map")]))

    assert await fetch_committed(broker, "g", [PLACE]) == {PLACE: (5, "map")}
    assert (broker.lookups, broker.refreshed) == (2, 1)


async def test_the_code_of_a_single_partition_counts_too() -> None:
    """Its offset of -1 is not an answer."""
    broker = Broker((0, [row(-1, code=LOADING)]), (0, [row(5)]))

    assert await fetch_committed(broker, "g", [PLACE]) == {PLACE: (5, "")}


async def test_a_broken_connection_is_tried_again() -> None:
    """On the coordinator of the moment."""
    broker = Broker(errors.KafkaConnectionError(), errors.NodeNotReadyError(), (0, [row(5)]))

    assert await fetch_committed(broker, "g", [PLACE]) == {PLACE: (5, "")}
    assert broker.lookups == 3


async def test_a_partition_without_an_offset_is_missing() -> None:
    """Only when the coordinator says so."""
    assert await fetch_committed(Broker((0, [row(-1)])), "g", [PLACE]) == {}


@pytest.mark.parametrize(("code", "kind"), [(DENIED, AccessDeniedError), (INVALID_GROUP, BrokerError)])
async def test_what_will_not_pass_is_raised(code: int, kind: type[Exception]) -> None:
    """Asking again would hide it."""
    with pytest.raises(kind):
        await fetch_committed(Broker(code), "g", [PLACE])
