"""The fit: logistic regression over the windows of all samples, rounded to one byte for each weight."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from consumers.guard.injection.classifier import FORMAT, Classifier
from consumers.guard.injection.features import BUCKETS, warm, windows
from ops.lab.injection.samples import Sample

BENIGN_WINDOWS: Final = 3
"""Benign windows of one text that are used, so that long texts do not outweigh the others."""

INSIDE: Final = 0.75
"""Share of an attack that a window must hold to count as one."""

FILLED: Final = 0.6
"""Share of a window that an attack must fill to count as one, if it is longer than a window."""

SUSPECTED: Final = -1.5
"""Log-odds in the first fit from which a benign window is added to the second."""

FIRST_STEPS: Final = 30
STEPS: Final = 80
"""Steps of the two fits at most."""

STRENGTH: Final = 2.0
"""Inverse of the regularisation."""

RARITY: Final = 0.6
"""Log-odds taken off: attacks are rarer in traffic than among the texts of a fit."""

LEVELS: Final = 127
CUT: Final = 99.995
"""Percentile of the weights at which they are cut: single large ones would cost the others their precision."""


class Fitted(NamedTuple):
    """Weights and bias."""

    weights: NDArray[np.float32]
    bias: float


class _Rows(NamedTuple):
    attacks: list[NDArray[np.int32]]
    benign: list[NDArray[np.int32]]
    others: list[NDArray[np.int32]]
    """Benign windows that were not picked."""


def fit(samples: Iterable[Sample], seed: int) -> Fitted:
    """Return the weights for the samples. Takes minutes.

    The second of two fits adds the benign windows that the first one suspects: a long text has many windows, and the
    worst one decides.
    """
    warm()
    rows = _rows(samples, random.Random(seed))
    first = _regression(rows.attacks, rows.benign, FIRST_STEPS)
    suspected = [row for row in rows.others if _log_odds(first, row) > SUSPECTED]
    return _regression(rows.attacks, rows.benign + suspected, STEPS)


def _rows(samples: Iterable[Sample], chance: random.Random) -> _Rows:
    rows = _Rows([], [], [])
    for sample in samples:
        labelled = list(_labelled(sample))
        rows.attacks.extend(row for row, is_attack in labelled if is_attack)
        benign = [row for row, is_attack in labelled if not is_attack]
        chance.shuffle(benign)
        rows.benign.extend(benign[:BENIGN_WINDOWS])
        rows.others.extend(benign[BENIGN_WINDOWS:])
    return rows


def _regression(attacks: list[NDArray[np.int32]], benign: list[NDArray[np.int32]], steps: int) -> Fitted:
    model = LogisticRegression(C=STRENGTH, max_iter=steps, tol=1e-3)
    model.fit(_matrix(attacks + benign), np.repeat((True, False), (len(attacks), len(benign))))
    weights: NDArray[np.float64] = np.asarray(model.coef_).reshape(-1)
    return Fitted(weights.astype(np.float32), float(np.asarray(model.intercept_).item()) - RARITY)


def _log_odds(fitted: Fitted, row: NDArray[np.int32]) -> float:
    return float(fitted.weights[row].sum() / np.sqrt(max(1, len(row)))) + fitted.bias


def _labelled(sample: Sample) -> Iterator[tuple[NDArray[np.int32], bool]]:
    """Yield the distinct buckets of each window, and True if it holds the attack; unclear windows are left out."""
    for part in windows(sample.text):
        for row, (start, end) in zip(part.buckets, part.spans, strict=True):
            if (is_attack := _holds(sample.attack, start, end)) is not None:
                yield row[row != BUCKETS], is_attack


def _holds(attack: tuple[int, int] | None, start: int, end: int) -> bool | None:
    if attack is None:
        return False
    common = min(attack[1], end) - max(attack[0], start)
    if common >= min(INSIDE * (attack[1] - attack[0]), FILLED * (end - start)):
        return True
    return None if common > 0 else False


def _matrix(rows: list[NDArray[np.int32]]) -> Any:  # noqa: ANN401 - scipy has no types
    sizes = np.array([len(row) for row in rows])
    values = np.repeat(1 / np.sqrt(np.maximum(sizes, 1)), sizes).astype(np.float32)
    ends = np.concatenate((np.zeros(1, dtype=np.int64), np.cumsum(sizes))).astype(np.int32)
    return scipy.sparse.csr_matrix((values, np.concatenate(rows), ends), shape=(len(rows), BUCKETS))


def rounded(fitted: Fitted) -> tuple[NDArray[np.int8], np.float32]:
    """Return the weights as bytes, and the value of one step."""
    step = np.float32(np.percentile(np.abs(fitted.weights), CUT) / LEVELS)
    return np.clip(np.round(fitted.weights / step), -LEVELS, LEVELS).astype(np.int8), step


def save(fitted: Fitted, file: Path) -> None:
    """Write the file that the classifier reads."""
    weights, step = rounded(fitted)
    np.savez_compressed(file, format=np.int64(FORMAT), weights=weights, scale=step, bias=np.float64(fitted.bias))


def classifier_of(fitted: Fitted) -> Classifier:
    """Return the classifier with the rounded weights."""
    weights, step = rounded(fitted)
    return Classifier(weights.astype(np.float32) * step, fitted.bias)
