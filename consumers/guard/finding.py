"""Findings: the common result of all detectors, in the text and in its other readings.

A detector is a plain function from one reading to its findings. It runs on the event loop for short texts, and in a
text process for long ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeAlias

from consumers.guard.views import View, views_of


class Finding(NamedTuple):
    """One place that a detector has found."""

    kind: str
    """The kind of the match in fixed wording, such as ``email`` or ``github_token``. It never quotes the content."""

    start: int
    end: int
    """Span of the text, as character offsets; both 0 for text that was hidden."""

    score: float = 1.0
    """Confidence, from 0 to 1."""

    reading: str = ""
    """Kind of the view in which it was found; empty for the text itself."""


Detector: TypeAlias = Callable[[str], Iterable[Finding]]
"""Returns the findings of one reading, in any order. Takes linear time, and never raises for any text."""


def findings(detect: Detector, text: str, hidden: str = "") -> tuple[Finding, ...]:
    """Return the findings of the text and of all its views, with the spans of the text itself."""
    found = [*detect(text)]
    for view in views_of(text, hidden):
        found += _in_view(detect, view)
    return tuple(found)


def _in_view(detect: Detector, view: View) -> Iterator[Finding]:
    for each in detect(view.text):
        start, end = next(iter(view.locate(each.start, each.end)), (0, 0))
        yield each._replace(start=start, end=end, reading=view.kind)


def found_in(values: Iterable[tuple[str, int, int, float, str]]) -> tuple[Finding, ...]:
    """Return the findings of which a text process returned the plain values."""
    return tuple(Finding(*each) for each in values)
