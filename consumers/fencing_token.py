"""The fencing token of a run: the order of the workers that own it, one after another.

The idea is Martin Kleppmann's, "How to do distributed locking", 2016.
"""

from __future__ import annotations

from typing import NamedTuple


class FencingToken(NamedTuple):
    """The place of one opening of a shard in the order of all. Tokens compare as tuples."""

    layout: int
    """Version of the layout."""

    life: int
    """Number of the shard's opening, which crash tracking counts in Kafka."""
