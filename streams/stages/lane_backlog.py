"""Counts of records that wait for their lane. They do not fill the window, up to a bound in records and bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from schemas.records import Partition

RECORDS = 4_096
"""Most records of one partition. A session with more queued requests delays its tenant's partition."""

BYTES = 16 * 1024 * 1024
"""Most bytes of one partition."""

ALL_BYTES = 256 * 1024 * 1024
"""Most bytes of the whole worker."""


class LaneBacklog:
    """The counters of records that wait in lanes, by partition."""

    def __init__(self, records: int = RECORDS, size: int = BYTES, all_size: int = ALL_BYTES) -> None:
        self._limits = records, size, all_size
        self._records: Counter[Partition] = Counter()
        self._bytes: Counter[Partition] = Counter()
        self._all = 0

    @contextmanager
    def holding(self, partition: Partition, size: int) -> Generator[None]:
        """Count one record of *size* bytes while it waits in its lane."""
        self._count(partition, 1, size)
        try:
            yield
        finally:
            self._count(partition, -1, -size)

    def _count(self, partition: Partition, records: int, size: int) -> None:
        self._records[partition] += records
        self._bytes[partition] += size
        self._all += size
        if not self._records[partition]:
            del self._records[partition], self._bytes[partition]

    def exempt(self, partition: Partition) -> int:
        """Return the number of records of *partition* outside its window; 0 once a byte limit is reached."""
        records, size, all_size = self._limits
        if self._bytes[partition] >= size or self._all >= all_size:
            return 0
        return min(records, self._records[partition])
