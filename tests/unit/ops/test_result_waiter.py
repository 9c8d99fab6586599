"""Results matched to requests, those included that were answered long ago."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import cast

import pytest

from ops.errors import NoResultError
from ops.result_waiter import ResultWaiter, SentRequest
from schemas.errors import Status
from schemas.records import Partition, Record
from schemas.results import ErrorInfo, Result
from streams.transport.admin import Admin
from streams.transport.reader import Reader

pytestmark = pytest.mark.anyio

REQUESTS = Partition("requests", 0)
RESULTS = Partition("results", 0)


@dataclass
class FakeReader:
    """Hands out one batch a poll."""

    batches: list[list[Result]] = field(default_factory=list)
    at: int = 0

    async def poll(self, _timeout_s: float) -> list[Record]:
        batch = self.batches[self.at] if self.at < len(self.batches) else []
        self.at += 1
        return [Record("results", 0, 0, 0, None, each.model_dump_json().encode(), ()) for each in batch]

    async def high_watermarks(self) -> dict[Partition, int]:
        return {RESULTS: len(self.batches)}

    def past(self, marks: Mapping[Partition, int]) -> bool:
        return self.at >= marks[RESULTS]


@dataclass
class FakeAdmin:
    """The door's committed offset."""

    committed_offset: int = 0

    async def committed(self, _group: str, partitions: Collection[Partition]) -> dict[Partition, int]:
        return dict.fromkeys(partitions, self.committed_offset)


@dataclass
class TickingClock:
    """A second goes by at each look."""

    now: float = 0.0

    def now_ms(self) -> int:
        return round(self.now * 1_000)

    def monotonic(self) -> float:
        self.now += 1
        return self.now


def _result(request_id: str, status: Status = "succeeded", code: str | None = None, output: str = "") -> Result:
    error = ErrorInfo(code=code, message="no") if code else None
    return Result(request_id=request_id, run_id="r", agent="echo", status=status, error=error, output=output)


def _waiter(reader: FakeReader, admin: FakeAdmin | None = None) -> ResultWaiter:
    return ResultWaiter("acme", cast("Reader", reader), cast("Admin", admin or FakeAdmin()), TickingClock())


def _send(waiter: ResultWaiter, request_id: str, offset: int = 0) -> None:
    waiter.expected.add(request_id)
    waiter.open[request_id] = SentRequest(request_id, REQUESTS, offset)


async def _arriving(waiter: ResultWaiter, within: float = 100) -> list[Result]:
    return [result async for result in waiter.arriving(within)]


async def test_a_result_finds_its_request() -> None:
    """Others' results of the same tenant pass by."""
    waiter = _waiter(FakeReader([[_result("other")], [], [_result("mine")]]))
    _send(waiter, "mine")

    assert [result.request_id for result in await _arriving(waiter)] == ["mine"]


async def test_a_result_that_comes_before_the_broker_has_confirmed_the_request_is_kept() -> None:
    """The platform may be faster than the acknowledgement."""
    waiter = _waiter(FakeReader([[_result("early"), _result("other")]]))
    waiter.expected.update({"early", "other"})
    _send(waiter, "other")
    assert [result.request_id for result in await _arriving(waiter)] == ["other"]

    _send(waiter, "early")

    assert [result.request_id for result in await _arriving(waiter)] == ["early"]


async def test_results_come_in_the_order_of_their_arrival() -> None:
    """A slow one does not hold back the others."""
    waiter = _waiter(FakeReader([[_result("b")], [_result("a")]]))
    _send(waiter, "a")
    _send(waiter, "b")

    assert [result.request_id for result in await _arriving(waiter)] == ["b", "a"]


async def test_a_result_that_does_not_come_ends_the_wait() -> None:
    """Every wait has a deadline, and says where the result will be."""
    waiter = _waiter(FakeReader())
    _send(waiter, "mine")

    with pytest.raises(NoResultError, match=r"mine within 5 s.*--tenant acme"):
        await _arriving(waiter, within=5)


async def test_a_request_sent_again_gets_the_answer_of_the_first() -> None:
    """The door joins it and says nothing: its offset is passed, and no result has come with it."""
    reader = FakeReader([[_result("again", output="first")]])
    waiter = _waiter(reader, FakeAdmin(committed_offset=8))
    await waiter.recall()
    _send(waiter, "again", offset=7)

    assert [result.output for result in await _arriving(waiter)] == ["first"]


async def test_an_old_answer_counts_only_when_the_door_has_decided() -> None:
    """Until then, the request may still be refused as a conflict."""
    waiter = _waiter(FakeReader([[_result("again")]]), FakeAdmin(committed_offset=7))
    await waiter.recall()
    _send(waiter, "again", offset=7)

    with pytest.raises(NoResultError):
        await _arriving(waiter, within=5)


async def test_a_conflict_is_not_hidden_by_the_old_answer() -> None:
    """The same id with another body is refused, and the caller must see that."""
    reader = FakeReader([[_result("again", output="first")]])
    waiter = _waiter(reader, FakeAdmin(committed_offset=8))
    await waiter.recall()
    reader.batches.append([])
    reader.batches.append([_result("again", "refused", "id_conflict")])
    _send(waiter, "again", offset=7)

    assert [result.status for result in await _arriving(waiter)] == ["refused"]


async def test_an_old_conflict_is_nobodys_answer() -> None:
    """Whoever repeats the first request wants what came of that."""
    past = [_result("again", output="first"), _result("again", "refused", "id_conflict")]
    waiter = _waiter(FakeReader([past]), FakeAdmin(committed_offset=8))
    await waiter.recall()
    _send(waiter, "again", offset=7)

    assert [result.output for result in await _arriving(waiter)] == ["first"]
