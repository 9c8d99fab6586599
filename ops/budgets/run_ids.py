"""The run ids that a reader of usage records has seen, in eight bytes each."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

RECENT = 65_536
"""Ids that are kept as a set before they are sorted into an array."""


class RunIds:
    """A set of run ids. Two ids of a million are taken for one with a probability of one in 37 million."""

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self.arrays: list[NDArray[np.uint64]] = []

    def add(self, run_id: str) -> bool:
        """Add an id. Return True if it is new."""
        number = int.from_bytes(hashlib.blake2b(run_id.encode(), digest_size=8).digest())
        if number in self._recent or any(_has(array, number) for array in self.arrays):
            return False
        self._recent.add(number)
        if len(self._recent) >= RECENT:
            self._settle()
        return True

    def _settle(self) -> None:
        """Sort the recent ids, and merge arrays of similar size: few arrays remain to be searched."""
        new = np.sort(np.fromiter(self._recent, np.uint64, len(self._recent)))
        self._recent.clear()
        while self.arrays and len(self.arrays[-1]) <= 2 * len(new):
            new = np.sort(np.concatenate([self.arrays.pop(), new]))
        self.arrays.append(new)


def _has(array: NDArray[np.uint64], number: int) -> bool:
    place = int(np.searchsorted(array, np.uint64(number)))
    return place < len(array) and int(array[place]) == number
