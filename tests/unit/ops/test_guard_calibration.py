"""Calibrated thresholds keep the wanted rate of false alarms, with confidence."""

from __future__ import annotations

import io

import pytest

from ops.errors import InvalidError
from ops.guard_calibration import allowed_alarms, benign_texts, calibrated, needed, upper_bound


@pytest.mark.parametrize(
    ("alarms", "samples", "bound"), [(0, 10, 0.2589), (1, 10, 0.3942), (5, 100, 0.1023), (0, 299, 0.00997)]
)
def test_the_bound_is_that_of_clopper_and_pearson(alarms: int, samples: int, bound: float) -> None:
    """Values of the published tables, one-sided at 95 %."""
    assert upper_bound(alarms, samples) == pytest.approx(bound, abs=1e-4)


@pytest.mark.parametrize("rate", [0.5, 0.1, 0.01, 0.001])
def test_enough_samples_allow_exactly_none(rate: float) -> None:
    """With one sample fewer, not even a clean result would show the rate."""
    assert upper_bound(0, needed(rate)) <= rate < upper_bound(0, needed(rate) - 1)


@pytest.mark.parametrize(("samples", "rate"), [(300, 0.01), (1_000, 0.01), (5_000, 0.04), (100_000, 0.001)])
def test_the_allowed_alarms_are_the_most(samples: int, rate: float) -> None:
    """One more would pass the rate."""
    allowed = allowed_alarms(samples, rate)

    assert upper_bound(allowed, samples) <= rate < upper_bound(allowed + 1, samples)


def test_the_threshold_is_the_lowest_one() -> None:
    """It lies right above the first score that must not alarm."""
    scores = [number / 1_000 for number in range(1_000)]
    found = calibrated(scores, 0.05)

    assert found.alarms == allowed_alarms(1_000, 0.05)
    assert found.threshold == pytest.approx(0.999 - found.alarms / 1_000, abs=2e-6)
    assert found.report()["at_most"] <= 0.05


def test_too_few_samples_are_refused_with_the_number() -> None:
    """The operator must know how many to collect."""
    with pytest.raises(
        InvalidError, match=r"298 samples cannot show 0\.01 false alarms: give at least 299 benign texts"
    ):
        calibrated([0.0] * 298, 0.01)


def test_samples_with_the_highest_score_are_refused() -> None:
    """They are hardly benign, and a threshold above 1 would switch the guard off."""
    with pytest.raises(InvalidError, match="see if they are benign"):
        calibrated([1.0] * 1_000, 0.01)


def test_equal_scores_do_not_pass_the_rate() -> None:
    """Many equal scores alarm together or not at all."""
    assert calibrated([0.25] * 1_000, 0.01).alarms == 0


def test_a_line_that_cannot_be_read_is_refused() -> None:
    """A lost sample would change the rate unseen."""
    assert benign_texts(io.BytesIO(b'{"text": "a"}\n\n{"input": "b"}\n')) == ["a", "b"]
    with pytest.raises(InvalidError, match="line 2: text"):
        benign_texts(io.BytesIO(b'{"text": "a"}\n{"label": 0}\n'))
