"""The guards' benchmark measures each guard and all of them, and a slow guard shows."""

from __future__ import annotations

from pathlib import Path
from time import thread_time
from typing import Any

import pytest

from consumers.guard import text_tasks
from consumers.guard.registry import DEFAULTS
from ops.cli.command_settings import settings_with
from ops.lab.bench.figures import Comparison
from ops.lab.bench.guard_texts import SENTENCES, texts_of
from ops.lab.bench.guards import REFERENCE, STREAMS, TARGET, WHOLE, GuardsPlan, run

pytestmark = pytest.mark.anyio


async def measured(tmp_path: Path) -> dict[tuple[str, str], Comparison]:
    """Return the comparisons of one small round, by product and reference."""
    plan = GuardsPlan(calls=20, long=20_000, rounds=1)
    found = await run(plan, settings_with(None), tmp_path, lambda _: None)
    return {(each.what, each.against): each for each in found}


async def test_every_guard_is_measured_beside_the_reference(tmp_path: Path) -> None:
    """A guard that is added to the defaults is measured without a change here."""
    found = await measured(tmp_path)
    for name in (*DEFAULTS["input"], WHOLE):
        assert found[f"{name}, p50", f"{REFERENCE}, p50"].values[0] > 0
        assert found[f"{name}, 1 MiB", f"{REFERENCE}, 1 MiB"].ratio > 0
    assert found[f"{WHOLE}, p95", TARGET].goal == 5.0
    assert all(found[name, TARGET].values[0] > 0 for name in STREAMS)


async def test_a_slow_guard_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The benchmark would be of no use otherwise."""
    quick = text_tasks.text_task

    def slow(name: str) -> text_tasks.TextTask:
        def task(*texts: str) -> tuple[Any, ...]:
            end = thread_time() + (0.02 if name == "secrets" else 0)
            while thread_time() < end:
                pass
            return quick(name)(*texts)

        return task

    monkeypatch.setattr("consumers.guard.detection.text_task", slow)
    found = await measured(tmp_path)
    for name in ("secrets", WHOLE):
        assert found[f"{name}, p50", f"{REFERENCE}, p50"].values[0] >= 20
    assert found["pii, p50", f"{REFERENCE}, p50"].values[0] < 20


def test_the_texts_have_their_length_and_differ() -> None:
    """A guard that keeps its last result must not look fast."""
    texts = texts_of(500)
    assert {len(text) for text in texts} == {500}
    assert len(set(texts)) == len(SENTENCES)
