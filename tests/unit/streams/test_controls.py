"""What agent workers are told of runs beyond the door."""

from __future__ import annotations

import pytest

from consumers.resilience.cancel import Cancels
from producers.controls import run_control_record
from schemas.control import RunControl
from schemas.errors import CancelledRunError
from schemas.records import Record
from schemas.seals import Seals
from streams.controls import RunControls
from tests.unit.streams.bench import NOW, SEALS, FakeLog, FakeReader, StillClock, as_read

pytestmark = pytest.mark.anyio


def word(seals: Seals = SEALS) -> Record:
    """A sealed cancel of the run."""
    control = RunControl(tenant="acme", run_id="run-1", kind="cancel")
    return as_read(run_control_record(control, seals, trace=(), now_ms=NOW))


async def _is_cancelled(*records: Record) -> bool:
    cancels = Cancels(StillClock())
    controls = RunControls(FakeReader(FakeLog()), SEALS, cancels)
    for record in records:
        controls.take(record)
    try:
        async with cancels.heeded("run-1"):
            return False
    except CancelledRunError:
        return True


async def test_a_sealed_word_cancels_its_run() -> None:
    """Only the door writes them."""
    assert await _is_cancelled(word())


async def test_a_word_without_our_seal_or_without_sense_says_nothing() -> None:
    """Whoever may write to the topic is not thereby the door."""
    forged = word(Seals({"k1": b"another secret of 16"}, "cluster"))
    assert not await _is_cancelled(forged, word()._replace(headers=()), word()._replace(value=b"{"))
