"""Places around a carry where something may happen: a process dies, or an answer is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Literal, TypeAlias

from schemas.records import Partition, ProducerRecord
from streams.offsets.tracker import Tracker
from streams.transport.protocol.record_batches import OffsetCallback
from streams.transport.transactional_producer import TransactionalProducer

Point: TypeAlias = Literal["unsent", "placed", "committed", "fetched", "ending", "ended"]
"""Before the carry is sent; when the broker has taken its copy, not its end; when it is committed, before anybody here
knows; when the copy has been fetched; before and after the transaction with the run's outcome."""

Transact: TypeAlias = Callable[..., Awaitable[None]]


def transact_until(point: Point, then: Callable[[], None], last: bytes = b"") -> Transact:
    """``TransactionalProducer.transact``, but *then* happens at *point* of the first carry, or of the output *last*."""
    original, left = TransactionalProducer.transact, [then]

    def happen(here: Point) -> None:
        if here == point and left:
            left.pop()()

    def observed(told: OffsetCallback) -> OffsetCallback:
        def tell(offset: int) -> None:
            told(offset)
            happen("placed")

        return tell

    async def transact(
        producer: TransactionalProducer,
        outputs: Iterable[ProducerRecord],
        offsets: Mapping[Partition, tuple[int, str]],
        group: str | None,
        copies: Iterable[tuple[ProducerRecord, OffsetCallback]] = (),
    ) -> None:
        outputs, copies = list(outputs), [(copy, observed(told)) for copy, told in copies]
        ends = any(output.value == last for output in outputs)
        if copies:
            happen("unsent")
        if ends:
            happen("ending")
        await original(producer, outputs, offsets, group, copies)
        if copies:
            happen("committed")
        if ends:
            happen("ended")

    return transact


def admit_until_kept(then: Callable[[], None]) -> Callable[[Tracker, int, int], bool]:
    """``Tracker.admit``, but *then* happens when a record comes whose run goes on here."""
    original = Tracker.admit

    def admit(tracker: Tracker, offset: int, at_ms: int = 0) -> bool:
        kept = offset in tracker.kept
        runs = original(tracker, offset, at_ms)
        if kept:
            then()
        return runs

    return admit
