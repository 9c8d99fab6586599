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
from tests.integration.ground import Ground, eventually, ground
from tests.integration.test_engine import child

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.timeout(300)]

AWAY_S = 10
"""Above the session of six seconds; below the watchdog's thirty."""


async def a_while(_: Record) -> None:
    """As long as the runs of the worker that will be away."""
    await asyncio.sleep(1.0)


async def test_f2_a_worker_stopped_past_its_session_comes_back_fenced(kafka: Kafka, tmp_path: Path) -> None:
    """SIGSTOP, takeover, SIGCONT (I5, I6): what it had finished and not committed is not its to write any more."""
    async with ground(kafka.bootstrap, partitions=8, shards=4) as place:
        totals = await _away_and_back(place, tmp_path, signal.SIGSTOP, signal.SIGCONT)
    assert totals["shard_reopens"] or totals["dropped_runs"], totals


async def test_f19_a_worker_whose_event_loop_is_held_past_its_session_is_fenced(kafka: Kafka, tmp_path: Path) -> None:
    """A handler that computes for ten seconds costs its worker the shards, and raises an alarm (I9, I5)."""
    async with ground(kafka.bootstrap, partitions=8, shards=4) as place:
        totals = await _away_and_back(place, tmp_path, signal.SIGUSR1, None)
    assert totals["event_loop_blocks"] >= 1
    assert totals["event_loop_blocked_seconds"] > AWAY_S - 1


async def _away_and_back(
    place: Ground, folder: Path, away: signal.Signals, back: signal.Signals | None
) -> dict[str, float]:
    """A worker is away under load, and back; what it has counted by its end."""
    runs, report = folder / "runs", folder / "report"
    more = {"runs": str(runs), "report": str(report), "longest_s": "2", "block_s": str(AWAY_S)}
    await place.provision()
    async with child(place, **more) as process, place.worker(place.work(a_while)) as other:
        await eventually(lambda: len(other.owned) == 2 and other.ready, 60)
        await place.feed(800, keys=300)
        await eventually(lambda: runs.exists() and len(runs.read_bytes().split()) > 200, 60)
        await place.collect(50, 60)
        over = {record.value for record in place.seen}
        process.send_signal(away)
        await asyncio.sleep(1.0)
        begun = set(runs.read_bytes().split()) - over
        await eventually(lambda: len(other.owned) == 4, 60)
        await asyncio.sleep(AWAY_S - 6)
        if back is not None:
            process.send_signal(back)
        await place.feed(800, keys=300)
        await place.collect(1_600, 120)
        process.terminate()
        await asyncio.wait_for(process.wait(), 60)
        await place.committed_to_the_end()
    await place.judge()
    again = Counter(runs.read_bytes().split()) + place.runs
    repeated = {value for value, count in again.items() if count > 1}
    assert repeated <= begun, "only what it had begun and nobody had seen is run again"
    assert max(again.values()) == 2, "by whoever took over, and by nobody else"
    assert len(again) == 1_600
    return dict(json.loads(report.read_text()))
