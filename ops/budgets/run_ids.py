"""The run ids that a reader of usage records has seen, in eight bytes each."""

from __future__ import annotations

import hashlib
from array import array
from bisect import bisect_left
from itertools import chain

RECENT = 65_536
"""Ids that are kept as a set before they are sorted into an array."""


class RunIds:
    """A set of run ids. Two ids of a million are taken for one with a probability of one in 37 million."""

    def __init__(self) -> None:
        self._recent: set[int] = set()
        self.arrays: list[array[int]] = []

    def add(self, run_id: str) -> bool:
        """Add an id. Return True if it is new."""
        number = int.from_bytes(hashlib.blake2b(run_id.encode(), digest_size=8).digest())
        if number in self._recent or any(_has(numbers, number) for numbers in self.arrays):
            return False
        self._recent.add(number)
        if len(self._recent) >= RECENT:
            self._settle()
        return True

    def _settle(self) -> None:
        """Sort the recent ids, and merge arrays of similar size: few arrays remain to be searched."""
        new = array("Q", sorted(self._recent))
        self._recent.clear()
        while self.arrays and len(self.arrays[-1]) <= 2 * len(new):
            new = array("Q", sorted(chain(self.arrays.pop(), new)))
        self.arrays.append(new)


def _has(numbers: array[int], number: int) -> bool:
    place = bisect_left(numbers, number)
    return place < len(numbers) and numbers[place] == number
