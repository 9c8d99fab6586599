"""The exit code that a result stands for: what a script may rely on."""

from __future__ import annotations

from collections.abc import Iterable

from schemas.errors import Status

CODES: dict[Status, int] = {"succeeded": 0, "failed": 1, "refused": 3, "expired": 4, "cancelled": 5}
SEVERITY: tuple[Status, ...] = ("succeeded", "cancelled", "expired", "refused", "failed")
"""Mildest first: the worst result of several decides."""


def code_of(statuses: Iterable[Status]) -> int:
    """The exit code of the worst; 0 if there are none."""
    seen: set[Status] = {"succeeded", *statuses}
    return next(CODES[status] for status in reversed(SEVERITY) if status in seen)
