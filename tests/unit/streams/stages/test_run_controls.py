"""What agent workers are told of runs beyond the door."""

from __future__ import annotations

import pytest

from consumers.resilience.cancel import KEEP_MS, Cancels
from producers.controls import run_control_record
from schemas.control import RunControl
from schemas.errors import CancelledRunError
from schemas.records import Record
from schemas.seals import Seals
from schemas.tenants import Limits, Tenant
from streams.stages.run_controls import SKEW_MS, RunControls, reach_ms
from tests.unit.streams.engine.shard_setup import NOW, SEALS, FakeLog, FakeReader, StillClock, as_read

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
        async with cancels.scope("run-1"):
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


async def test_what_was_said_before_it_came_is_taken_up_as_far_as_it_may_matter() -> None:
    """Else a run that was cancelled while no worker was there would go on."""
    log, cancels = FakeLog(), Cancels(StillClock())
    for run, at_ms in (("old", NOW - 2_000), ("run-1", NOW - 1_000), ("run-2", NOW)):
        control = RunControl(tenant="acme", run_id=run, kind="cancel")
        log.write(run_control_record(control, SEALS, trace=(), now_ms=NOW), at_ms)

    await RunControls(FakeReader(log), SEALS, cancels).catch_up(NOW - 1_500)

    assert [run for run in ("old", "run-1", "run-2") if not await _goes_on(cancels, run)] == ["run-1", "run-2"]


async def _goes_on(cancels: Cancels, run: str) -> bool:
    try:
        async with cancels.scope(run):
            return True
    except CancelledRunError:
        return False


def test_it_looks_back_as_far_as_the_longest_deadline_reaches() -> None:
    """And a little further, for clocks differ; never beyond the time for which a cancel is remembered."""
    short, long = (Tenant(id="t", limits=Limits(max_deadline=s, default_deadline=1)) for s in (60, 10 * 24 * 3_600))
    assert reach_ms([]) == SKEW_MS
    assert reach_ms([short]) == 60_000 + SKEW_MS
    assert reach_ms([short, long]) == KEEP_MS
