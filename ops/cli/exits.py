"""The exit code for each status of a result. Scripts may rely on it."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.errors import Status

CODES: dict[Status, int] = {"succeeded": 0, "failed": 1, "refused": 3, "expired": 4, "cancelled": 5}
SEVERITY: tuple[Status, ...] = ("succeeded", "cancelled", "expired", "refused", "failed")
"""Statuses, mildest first: the worst of several results decides."""


def code_of(statuses: Iterable[Status]) -> int:
    """Return the exit code of the worst status; 0 if there are none."""
    seen: set[Status] = {"succeeded", *statuses}
    return next(CODES[status] for status in reversed(SEVERITY) if status in seen)
