"""What a benchmark of neighbours says of the windows it saw."""

from __future__ import annotations

from typing import Any

import pytest

from ops.lab.bench import neighbours
from ops.lab.bench.neighbours import Meter, NeighboursPlan, rows
from ops.lab.neighbours.disturbances import disturbances
from ops.lab.neighbours.experiment import ExperimentPlan, WindowComparison

BY_NAME = {disturbance.name: disturbance for disturbance in disturbances(30)}
WAITS = [number / 1_000 for number in range(1, 101)]


def test_a_tenant_is_held_to_its_p95_and_a_slow_key_to_its_p99() -> None:
    """A fifth longer beside a whole tenant, a tenth beside one key."""
    found = WindowComparison("any", alone=WAITS, disturbed=[2 * wait for wait in WAITS])

    flood, key = rows(BY_NAME["flood"], found), rows(BY_NAME["slow key"], found)

    assert [(row.what, row.ratio, row.goal) for row in flood] == [
        ("flood, p50", 2.0, None),
        ("flood, p95", 2.0, 1.2),
        ("flood, p99", 2.0, None),
    ]
    assert [row.goal for row in key] == [None, None, 1.1]
    assert (flood[1].references, flood[1].values) == ((95.0,), (190.0,))


def test_what_the_trouble_costs_is_the_difference_of_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first window has nothing before it to begin from, so it says nothing of costs."""
    lines, spent, times = list[dict[str, Any]](), iter([1.0, 1.5, 1.6, 2.3]), iter([10.0, 12.0, 13.0, 15.0])
    monkeypatch.setattr(neighbours, "process_time", lambda: next(spent))
    monkeypatch.setattr(neighbours, "monotonic", lambda: next(times))
    meter = Meter("flood", lines.append)

    for quiet in (True, False, True, False):
        meter.told(quiet, WAITS)
    meter.sum_up()

    assert [line.get("cpu_percent") for line in lines] == [None, 25, 10, 35, 20]
    assert [line.get("seconds") for line in lines] == [None, 2.0, 1.0, 2.0, None]
    assert [line["neighbour"] for line in lines] == [*["quiet", "noisy"] * 2, "noisy - quiet"]
    assert lines[0]["p95"] == 95.0


def test_only_the_troubles_that_are_named_are_measured() -> None:
    """Each takes a minute."""
    assert [each.name for each in NeighboursPlan(ExperimentPlan(), ("garbage",)).disturbances()] == ["garbage"]
    assert {each.name for each in NeighboursPlan(ExperimentPlan()).disturbances()} == BY_NAME.keys()
