"""The work on long texts, as functions of texts. They also run in another process, so their values are plain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from consumers.guard.normal_form import normalise
from consumers.guard.views import Pieces, View, views_of

EVIDENCE_LIMIT: Final = 64
"""Spans that one verdict carries at most."""

SIZE_LIMIT: Final = 4 * 1024 * 1024
"""The most bytes of a normalised text. No topic takes a record with more."""

_GROWS_MOST: Final = "\ufdfa"
_GROWN: Final = 33
"""Bytes that NFKC makes of this character's three. It makes at most six bytes of one of every other (tested)."""


class NormalText(NamedTuple):
    """A normalised text, with the evidence that a verdict carries. ``text`` is None if it is too large."""

    text: str | None
    hidden: str = ""
    kinds: tuple[str, ...] = ()
    """The ways of hiding that were found."""

    evidence: tuple[tuple[int, int], ...] = ()


def normal_text(text: str) -> NormalText:
    """Return the normalised text, or a NormalText without one if it would exceed SIZE_LIMIT."""
    if text.count(_GROWS_MOST) * _GROWN > SIZE_LIMIT:
        return NormalText(None)

    normal = normalise(text)
    if len(normal.text) > SIZE_LIMIT or len(normal.text.encode()) > SIZE_LIMIT:
        return NormalText(None)
    return NormalText(
        normal.text,
        normal.hidden,
        tuple(sorted({found.kind for found in normal.finds})),
        tuple((found.start, found.end) for found in normal.finds[:EVIDENCE_LIMIT]),
    )


def packed_views(text: str, hidden: str) -> tuple[tuple[str, str, bytes], ...]:
    """Return the views of *text*, with their pieces packed into bytes."""
    return tuple((view.kind, view.text, view.pieces.packed()) for view in views_of(text, hidden))


def unpacked_views(packed: tuple[tuple[Any, str, bytes], ...]) -> tuple[View, ...]:
    """Return the views that ``packed_views`` packed."""
    return tuple(View(kind, text, Pieces.unpacked(pieces)) for kind, text, pieces in packed)


TASKS: Final[dict[str, Callable[..., tuple[Any, ...]]]] = {"normal_text": normal_text, "packed_views": packed_views}
"""Each task by its name."""


class TextWork(Protocol):
    """Runs a task of TASKS outside the event loop."""

    async def __call__(self, tenant: str, task: str, *texts: str) -> tuple[Any, ...]:
        """Return the task's result. Raise GuardUnavailableError if the work cannot be done now."""
        ...
