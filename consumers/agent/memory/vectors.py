"""Vectors of one length: checked, stored as 32-bit floats, and compared exactly."""

from __future__ import annotations

import asyncio
import math
import sys
from array import array
from collections.abc import Sequence
from operator import mul
from typing import TypeAlias

from consumers.agent.memory.port import Embedder, MemoryLimitError

Vector: TypeAlias = "array[float]"

DIMENSIONS = 4_096
"""Longest vector, in numbers."""

NUMBERS_A_TURN = 50_000
"""Multiplications between two turns of the loop: about 2 ms."""


async def embedded(embedder: Embedder, texts: Sequence[str]) -> list[Vector]:
    """Return a vector of length 1 for each text. Raises MemoryLimitError for vectors that cannot be compared."""
    vectors = [unit(vector) for vector in await embedder.embed(texts)]
    if len(vectors) != len(texts) or len({len(vector) for vector in vectors}) > 1:
        raise MemoryLimitError("the embedder did not return one vector a text, all of one dimension")
    return vectors


def unit(numbers: Sequence[float]) -> Vector:
    """Return the vector scaled to length 1. Raises MemoryLimitError if it has no direction, or too many numbers."""
    length = math.hypot(*numbers) if len(numbers) <= DIMENSIONS else math.inf
    if not 0 < length < math.inf:
        raise MemoryLimitError(f"a vector has 1 to {DIMENSIONS} finite numbers, not all of them 0")
    return array("f", [number / length for number in numbers])


def packed(vector: Vector) -> bytes:
    """Return the vector as little-endian bytes."""
    return _little_endian(vector).tobytes()


def unpacked(stored: bytes) -> Vector:
    """Return the vector of little-endian bytes."""
    return _little_endian(array("f", stored))


async def nearest(query: Vector, vectors: Sequence[Vector], limit: int) -> list[tuple[int, float]]:
    """Return the places and the cosines of the *limit* nearest vectors, nearest first. The loop runs in between."""
    scores: list[float] = []
    block = max(1, NUMBERS_A_TURN // len(query))
    for start in range(0, len(vectors), block):
        scores += [sum(map(mul, query, vector)) for vector in vectors[start : start + block]]
        await asyncio.sleep(0)
    order = sorted(range(len(scores)), key=lambda place: (-scores[place], place))
    return [(place, max(-1.0, min(1.0, scores[place]))) for place in order[: max(0, limit)]]


def _little_endian(vector: Vector) -> Vector:
    if sys.byteorder == "little":
        return vector
    swapped = array("f", vector)
    swapped.byteswap()
    return swapped
