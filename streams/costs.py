"""What a tenant's next run will probably cost: as much as its last ones did, the latest counting most."""

from __future__ import annotations

NEWEST = 0.2
"""Part that the newest run has in its tenant's average."""

UNKNOWN = 1.0
"""Seconds that a tenant's first run is expected to take, as long as nobody's has been measured."""


class Costs:
    """Moving averages of seconds; who has no history is expected to be like everybody."""

    def __init__(self) -> None:
        self._of: dict[str, float] = {}
        self._all = UNKNOWN

    def expected(self, tenant: str) -> float:
        """Seconds."""
        return self._of.get(tenant, self._all)

    def note(self, tenant: str, seconds: float) -> None:
        """A run of *tenant* has taken *seconds*."""
        self._all += NEWEST * (seconds - self._all)
        before = self._of.get(tenant, seconds)
        self._of[tenant] = before + NEWEST * (seconds - before)
