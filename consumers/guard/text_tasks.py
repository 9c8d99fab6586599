"""The work on long texts, as functions of texts. They also run in another process, so their values are plain."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pkgutil import resolve_name
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

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
    same: bool = False
    """True if ``text`` is left out because the text is normal already."""


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


def normal_change(text: str) -> NormalText:
    """Return the normalised text for another process, which has the text itself: most texts are normal already."""
    normal = normal_text(text)
    return normal._replace(text="", same=True) if normal.text == text else normal


def packed_views(text: str, hidden: str) -> tuple[tuple[str, str, bytes], ...]:
    """Return the views of *text*, with their pieces packed into bytes."""
    return tuple((view.kind, view.text, view.pieces.packed()) for view in views_of(text, hidden))


def unpacked_views(packed: tuple[tuple[Any, str, bytes], ...]) -> tuple[View, ...]:
    """Return the views that ``packed_views`` packed."""
    return tuple(View(kind, text, Pieces.unpacked(pieces)) for kind, text, pieces in packed)


TextTask: TypeAlias = Callable[..., tuple[Any, ...]]
"""A function of texts. Its result has only values that ``marshal`` can write: no named tuples within the tuple."""

TASKS: Final[dict[str, str]] = {
    "normal_change": f"{__name__}:normal_change",
    "packed_views": f"{__name__}:packed_views",
    "secrets": "consumers.guard.secrets.task:find_secrets",
    "pii": "consumers.guard.pii.task:find_pii",
    "injection": "consumers.guard.injection.task:find_injection",
    "leak": "consumers.guard.leak_places:find_leak",
    "links": "consumers.guard.link_places:find_links",
}
"""The place of each task by its name. A process imports a task when it runs it for the first time."""


@cache
def text_task(name: str) -> TextTask:
    """Return the function of a task. A name that TASKS has not is its place, ``package.module:function``.

    Raise ImportError or AttributeError if there is none.
    """
    found: TextTask = resolve_name(TASKS.get(name, name))
    return found


class TextWork(Protocol):
    """Runs a task of TASKS outside the event loop."""

    async def __call__(self, tenant: str, task: str, *texts: str) -> tuple[Any, ...]:
        """Return the task's result. Raise GuardUnavailableError if the work cannot be done now."""
        ...
