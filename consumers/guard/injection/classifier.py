"""The classifier: logistic regression over the features of each window. The most suspicious window decides.

The weights are a file of this package, made by ``ops/lab/injection/train.py``. It holds plain numbers, never pickled
objects.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import IO, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from consumers.guard.injection.features import BUCKETS, Windows, warm, windows

WEIGHTS: Final = "weights.npz"
FORMAT: Final = 1
"""Version of the features and of the file. A file of another version is refused."""


class WindowOdds(NamedTuple):
    """The log-odds of each window of a text, and its place."""

    values: NDArray[np.float64]
    spans: tuple[tuple[int, int], ...]


class Classifier:
    """Weights for every bucket."""

    __slots__ = ("_bias", "_weights")

    def __init__(self, weights: NDArray[np.float32], bias: float) -> None:
        self._weights = np.append(weights, np.float32(0))
        self._bias = bias

    @classmethod
    def load(cls, file: IO[bytes]) -> Classifier:
        """Return the classifier of a file. Raise ValueError if it is of another format."""
        with np.load(file, allow_pickle=False) as stored:
            if int(stored["format"]) != FORMAT or stored["weights"].shape != (BUCKETS,):
                raise ValueError("the weights of the injection classifier are of another version: train them again")
            weights = stored["weights"].astype(np.float32) * np.float32(stored["scale"])
            return cls(weights, float(stored["bias"]))

    def odds(self, text: str) -> WindowOdds:
        """Return the log-odds of every window. Takes linear time."""
        parts = list(windows(text))
        values = [self.log_odds(part) for part in parts]
        return WindowOdds(np.concatenate(values or [np.zeros(0)]), tuple(span for part in parts for span in part.spans))

    def log_odds(self, part: Windows) -> NDArray[np.float64]:
        """Return the log-odds of some windows."""
        total = self._weights[part.buckets].sum(axis=1, dtype=np.float64)
        odds: NDArray[np.float64] = total / np.sqrt(np.maximum(part.sizes, 1)) + self._bias
        return odds


@cache
def classifier() -> Classifier:
    """Return the classifier of this package. It is read once: some milliseconds."""
    warm()
    with resources.files("consumers.guard.injection").joinpath(WEIGHTS).open("rb") as file:
        return Classifier.load(file)
