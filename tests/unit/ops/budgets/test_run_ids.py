"""The ids of runs that were counted."""

from __future__ import annotations

import pytest

from ops.budgets import run_ids
from ops.budgets.run_ids import RunIds


def test_each_id_is_new_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also after its move to the sorted arrays, of which few remain."""
    monkeypatch.setattr(run_ids, "RECENT", 7)
    seen = RunIds()
    names = [f"run-{number}" for number in range(1_000)]

    assert all(seen.add(name) for name in names)
    assert not any(seen.add(name) for name in names)
    assert len(seen.arrays) < 10
