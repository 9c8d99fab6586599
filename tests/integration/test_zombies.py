"""A worker that its group has given up comes back: it is fenced, and harms nothing."""

from __future__ import annotations

import asyncio
import json
import signal
from collections import Counter
from pathlib import Path

import pytest

from ops.embedded.kafka import Kafka
from schemas.records import Record
from tests.integration.engine_setup import EngineSetup, engine_setup, eventually
from tests.integration.test_engine import child

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(300)]

AWAY_S = 10
"""Above the session of six seconds; below the watchdog's thirty."""


async def a_while(_: Record) -> None:
    """As long as the runs of the worker that will be away."""
    await asyncio.sleep(1.0)


async def test_f2_a_worker_stopped_past_its_session_comes_back_fenced(kafka: Kafka, tmp_path: Path) -> None:
    """SIGSTOP, takeover, SIGCONT (I5, I6): what it had finished and not committed is not its to write any more."""
    async with engine_setup(kafka.bootstrap, partitions=8, shards=4) as setup:
        totals = await _away_and_back(setup, tmp_path, signal.SIGSTOP, signal.SIGCONT)
    assert totals["shard_reopens"] or totals["dropped_runs"], totals


async def test_f19_a_worker_whose_event_loop_is_held_past_its_session_is_fenced(kafka: Kafka, tmp_path: Path) -> None:
    """A handler that computes for ten seconds costs its worker the shards, and raises an alarm (I9, I5)."""
    async with engine_setup(kafka.bootstrap, partitions=8, shards=4) as setup:
        totals = await _away_and_back(setup, tmp_path, signal.SIGUSR1, None)
    assert totals["event_loop_blocks"] >= 1
    assert totals["event_loop_blocked_seconds"] > AWAY_S - 1


async def _away_and_back(
    setup: EngineSetup, folder: Path, away: signal.Signals, back: signal.Signals | None
) -> dict[str, float]:
    """A worker is away under load, and back; what it has counted by its end."""
    runs, report = folder / "runs", folder / "report"
    more = {"runs": str(runs), "report": str(report), "longest_s": "2", "block_s": str(AWAY_S)}
    await setup.provision()
    async with child(setup, **more) as process, setup.worker(setup.handler(a_while)) as other:
        await eventually(lambda: len(other.owned) == 2 and other.ready, 60)
        await setup.feed(800, keys=300)
        await eventually(lambda: runs.exists() and len(runs.read_bytes().split()) > 200, 60)
        await setup.collect(50, 60)
        over = {record.value for record in setup.seen}
        process.send_signal(away)
        await asyncio.sleep(1.0)
        begun = set(runs.read_bytes().split()) - over
        await eventually(lambda: len(other.owned) == 4, 60)
        await asyncio.sleep(AWAY_S - 6)
        if back is not None:
            process.send_signal(back)
        await setup.feed(800, keys=300)
        await setup.collect(1_600, 120)
        process.terminate()
        await asyncio.wait_for(process.wait(), 60)
        await setup.committed_to_the_end()
    await setup.judge()
    again = Counter(runs.read_bytes().split()) + setup.runs
    repeated = {value for value, count in again.items() if count > 1}
    assert repeated <= begun, "only what it had begun and nobody had seen is run again"
    assert max(again.values()) == 2, "by whoever took over, and by nobody else"
    assert len(again) == 1_600
    return dict(json.loads(report.read_text()))
