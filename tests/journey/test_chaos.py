"""The command that hurts a platform on purpose works, and says what came of it; long runs are `make chaos`."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.journey.platform import CLI, clean_environment


@pytest.mark.timeout(480)
def test_two_faults_lose_nothing_and_the_table_says_so(tmp_path: Path) -> None:
    """A worker is killed and the connections are cut, while 150 requests pass."""
    arguments = ("chaos", "--seed", "1", "--requests", "150", "--minutes", "0.1", "--faults", "kill,reset", "--json")

    done = subprocess.run(
        [*CLI, *arguments],
        cwd=tmp_path,
        env=clean_environment(TMPDIR=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
        timeout=420,
    )

    assert done.returncode == 0, done.stdout + done.stderr[-4_000:]
    table = json.loads(done.stdout)
    assert table["dealt"] == {"kill": 1, "reset": 1}
    assert table["exits"]["-9"] == 1
    assert (table["sent"], table["answered"], table["copies"] > 0) == (150, 150, True)
    assert not any(table[fault] for fault in ("lost", "answered_twice", "out_of_order", "open", "behind"))
    assert list(tmp_path.iterdir()) == []  # what went well leaves nothing behind
