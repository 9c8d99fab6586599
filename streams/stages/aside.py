"""What waits for a lane of its own, beside the window: it holds up nobody else, up to a bound in records and bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

from schemas.records import Partition

RECORDS = 4_096
"""Of one partition; a session with more queued requests holds its tenant's partition up."""

BYTES = 16 * 1024 * 1024
"""Of one partition."""

ALL_BYTES = 256 * 1024 * 1024
"""Of the whole worker."""


class Aside:
    """Counts what waits in lanes, by partition."""

    def __init__(self, records: int = RECORDS, size: int = BYTES, all_size: int = ALL_BYTES) -> None:
        self._limits = records, size, all_size
        self._records: Counter[Partition] = Counter()
        self._bytes: Counter[Partition] = Counter()
        self._all = 0

    @contextmanager
    def holding(self, partition: Partition, size: int) -> Generator[None]:
        """One record of *size* bytes waits in its lane meanwhile."""
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

    def beside(self, partition: Partition) -> int:
        """Records of *partition* that do not count against its window; none once they are too heavy."""
        records, size, all_size = self._limits
        if self._bytes[partition] >= size or self._all >= all_size:
            return 0
        return min(records, self._records[partition])
