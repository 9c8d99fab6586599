"""A fair queue of text work: tenants get equal shares of the characters that are worked on.

One text of a tenant is worked on at a time, so a flood of one tenant never takes every process. Among the tenants that
wait, the one that has received the least is next. Source: P. Goyal, H. M. Vin, H. Cheng, "Start-Time Fair Queueing"
(1996).
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _TenantTexts(Generic[T]):
    received: float
    texts: OrderedDict[T, int] = field(default_factory=OrderedDict[T, int])
    """The waiting texts with their sizes, in order of arrival."""

    busy: bool = False


class TextQueue(Generic[T]):
    """Waiting texts of many tenants."""

    def __init__(self) -> None:
        self._of: dict[str, _TenantTexts[T]] = {}
        self._now = 0.0

    def add(self, tenant: str, text: T, size: int) -> None:
        """Append *text* of this *size* to the texts of its tenant. An idle tenant has saved nothing."""
        line = self._of.setdefault(tenant, _TenantTexts(self._now))
        if not line.texts:
            line.received = max(line.received, self._now)
        line.texts[text] = max(1, size)

    def remove(self, tenant: str, text: T) -> None:
        """Remove *text* if it still waits."""
        line = self._of.get(tenant)
        if line is not None:
            line.texts.pop(text, None)
            self._tidy(tenant, line)

    def next(self) -> T | None:
        """Take the next text; None if no tenant has one that may be worked on now. Call ``done`` afterwards."""
        ready = [line for line in self._of.values() if line.texts and not line.busy]
        if not ready:
            return None
        line = min(ready, key=lambda each: each.received)
        text, size = line.texts.popitem(last=False)
        self._now = max(self._now, line.received)
        line.received += size
        line.busy = True
        return text

    def done(self, tenant: str) -> None:
        """Allow the next text of *tenant*."""
        line = self._of[tenant]
        line.busy = False
        self._tidy(tenant, line)

    def _tidy(self, tenant: str, line: _TenantTexts[T]) -> None:
        if not line.texts and not line.busy and line.received <= self._now:
            del self._of[tenant]
        if not any(each.texts or each.busy for each in self._of.values()):
            self._of.clear()
