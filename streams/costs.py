"""The expected cost of a tenant's next run: the average of its last runs, in which the latest count most."""

from __future__ import annotations

NEWEST = 0.2
"""Weight of the newest run in its tenant's average."""

UNKNOWN = 1.0
"""Expected seconds of a first run, as long as no run of any tenant has been measured."""


class Costs:
    """Moving averages in seconds. A tenant without a history gets the average of all tenants."""

    def __init__(self) -> None:
        self._of: dict[str, float] = {}
        self._all = UNKNOWN

    def expected(self, tenant: str) -> float:
        """Return the expected seconds of the tenant's next run."""
        return self._of.get(tenant, self._all)

    def note(self, tenant: str, seconds: float) -> None:
        """Add a run of *tenant* that has taken *seconds*."""
        self._all += NEWEST * (seconds - self._all)
        before = self._of.get(tenant, seconds)
        self._of[tenant] = before + NEWEST * (seconds - before)
