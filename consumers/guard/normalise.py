"""The normaliser: one spelling for every text, without invisible characters."""

from __future__ import annotations

import asyncio

from consumers.context import StepContext
from consumers.guard.content import LARGE, Content
from consumers.guard.guards import GuardResult
from consumers.guard.marks import MARKS
from consumers.guard.normal_form import GROWTH, Normalised, normalise

__all__ = ["GROWTH", "MARKS", "Normalise", "Normalised", "normalise"]


class Normalise:
    """The guard that normalises. It flags hidden text and changed text order, but none of its other changes."""

    async def __call__(self, content: Content, context: StepContext) -> GuardResult:  # noqa: ARG002 - the seam gives it
        """Return the content in its normal spelling."""
        large = len(content.text) > LARGE
        normal = await asyncio.to_thread(normalise, content.text) if large else normalise(content.text)
        if not normal.finds:
            return GuardResult(text=normal.text)

        return GuardResult(
            action="flag",
            score=1.0,
            evidence=tuple((found.start, found.end) for found in normal.finds),
            note=", ".join(sorted({found.kind for found in normal.finds})),
            text=normal.text,
            hidden=normal.hidden,
        )
