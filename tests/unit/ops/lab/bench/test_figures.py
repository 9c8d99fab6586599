"""Ratios of what was measured in turn."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from ops.lab.bench.figures import Comparison, Rounds, quantile, summary

pytestmark = pytest.mark.anyio


def costing(name: str, values: list[float], log: list[str]) -> Callable[[], Awaitable[float]]:
    """A subject that costs these, one after the other."""
    left = list(values)

    async def measure() -> float:
        log.append(name)
        return left.pop(0)

    return measure


async def test_a_product_and_its_reference_are_measured_in_turn_there_and_back() -> None:
    """What slows the machine down for a while meets both, and neither is always the first."""
    log, lines = list[str](), list[dict[str, Any]]()
    rounds = Rounds(3, lines.append)

    await rounds.measure({"raw": costing("raw", [10, 20, 30], log), "ours": costing("ours", [5, 20, 15], log)})

    assert log == ["raw", "ours", "ours", "raw", "raw", "ours"]
    assert lines[0] == {"round": 1, "what": "raw", "us": 10}
    assert rounds.compare("ours", "raw").values == (5, 20, 15)


def test_the_ratio_is_the_median_of_the_rounds_ratios() -> None:
    """And not the ratio of medians: 0.5, 1 and 0.5 here."""
    assert Comparison("ours", "raw", "us", (5, 20, 15), (10, 20, 30)).ratio == 0.5


def test_a_product_that_is_slower_has_a_larger_ratio() -> None:
    """In proportion."""
    quick = Comparison("ours", "raw", "us", (10, 11, 12), (10, 10, 10))
    slow = Comparison("ours", "raw", "us", (20, 22, 24), (10, 10, 10))

    assert slow.ratio == 2 * quick.ratio


def test_the_ratio_comes_last() -> None:
    """In each comparison and in the summary: it is what one looks for."""
    compared = Comparison("ours", "raw", "us", (5.0,), (10.0,), goal=0.8)

    assert list(compared.row())[-2:] == ["goal", "ratio"]
    said = summary("chain", [compared], cores=2)
    assert list(said) == ["bench", "cores", "ratio"]
    assert said["ratio"] == {"ours / raw": 0.5}


@pytest.mark.parametrize(("share", "value"), [(0.5, 51), (0.95, 96), (0.99, 100), (1, 100)])
def test_a_quantile_is_a_value_that_occurred(share: float, value: float) -> None:
    """No interpolation between two tails."""
    assert quantile([float(number) for number in range(100, 0, -1)], share) == value
