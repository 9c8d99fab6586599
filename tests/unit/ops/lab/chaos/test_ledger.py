"""What the agents have written down says which runs were repeated, and when none was started."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.lab.chaos.ledger import Start, longest_pause_s, repeated, starts_in


def test_a_run_that_was_begun_again_is_counted(tmp_path: Path) -> None:
    """Its second attempt, after a failure, is another matter."""
    file = tmp_path / "runs.log"
    file.write_text("r1 1 100 7\nr2 1 150 8\nr1 1 200 7\nr1 2 300 8\nr1 1 400 7\n")

    assert repeated(starts_in(file)) == 2


def test_no_run_at_all_leaves_no_file(tmp_path: Path) -> None:
    """A platform that never started one is judged all the same."""
    assert starts_in(tmp_path / "runs.log") == []


@pytest.mark.parametrize(("times", "pause"), [([], 0), ([5], 0), ([4_000, 1_000, 2_000], 2)])
def test_the_longest_pause_is_between_neighbours(times: list[int], pause: float) -> None:
    """Several workers write one file, not always in the order of their clocks."""
    assert longest_pause_s(Start("r", "1", at, 7).at_ms for at in times) == pause
