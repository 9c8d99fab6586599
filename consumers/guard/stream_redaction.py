"""A stage of a stream guard that redacts or blocks, by a detector that knows its partial matches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol, TypeAlias

from consumers.guard.encoded_tail import WORD, encoded_from, word_start
from consumers.guard.finding import Finding
from consumers.guard.views import View, views_of
from schemas.errors import BlockedError

CONTEXT: Final = 128
"""Characters before a match on which a detector may usually decide: its word boundaries and its context words."""

_ENCODED: Final = 3
"""The most characters that encode one byte: ``%41``."""

_PATIENCE: Final = 8
"""A held text is read again after it has grown by this part of itself, so that a stream costs linear time."""


class LiveDetector(Protocol):
    """A detector that also knows the matches which are not complete yet."""

    def detect(self, text: str, /) -> Iterable[Finding]:
        """Return the findings of one reading. A finding depends on at most ``reach`` characters before it."""
        ...

    def live_from(self, text: str, /) -> int:
        """Return the start of the first match that more text may complete, extend or undo; the length if none.

        So every finding that ends at or before this offset is final.
        """
        ...


Replacement: TypeAlias = Callable[[Finding, str], str]
"""Returns the text that replaces a finding, from the finding and the text that it covers."""


class _Edit(NamedTuple):
    start: int
    end: int
    found: Finding


@dataclass(slots=True)
class StreamRedaction:
    """Replaces the findings of one detector. It reads each part of the stream a bounded number of times."""

    detector: LiveDetector
    replacement: Replacement
    context: str = ""
    """Text before the stream that a detector reads too, such as ``password=``. It does not leave."""

    views: bool = True
    """False: the detector reads the text alone, not its decoded readings."""

    reach: int = CONTEXT
    """Characters before a match on which the detector may decide."""

    _text: str = field(default="", init=False)
    """The context, then the text that is held back."""

    _left: int = field(default=0, init=False)
    """The offset in it up to which the text has left."""

    _due: int = field(default=0, init=False)
    """The length from which it is read again."""

    def __post_init__(self) -> None:
        self._text, self._left = self.context, len(self.context)

    @property
    def held(self) -> str:
        """The text that is held back."""
        return self._text[self._left :]

    def feed(self, delta: str, /) -> str:
        """Return the redacted text of which no later delta can change the redaction."""
        self._text += delta
        if len(self._text) < self._due or not delta.strip(WORD):
            return ""  # within a word, and a word is released as a whole
        released = self._release(final=False)
        self._due = len(self._text) + (len(self._text) - self._left) // _PATIENCE
        return released

    def finish(self) -> str:
        """Return the redacted rest."""
        return self._release(final=True)

    def _release(self, *, final: bool) -> str:
        encoded = len(self._text) if final or not self.views else encoded_from(self._text)
        views = views_of(self._text[:encoded]) if self.views else ()
        until = encoded if final else self._live_from(encoded, views)
        if until <= self._left:
            return ""
        edits = _merged(self._ahead(self._findings(views)))
        until = min((each.start for each in edits if each.start < until < each.end), default=until)
        released = self._redacted(edits, until)
        self._left = max(self._left, until)
        self._forget()
        return released

    def _live_from(self, encoded: int, views: Sequence[View]) -> int:
        """Return the start of the first partial match in the text or in any of its readings."""
        live = min(encoded, self.detector.live_from(self._text))
        if encoded < len(self._text):  # its last word may decode to what goes on here
            live = min(live, self.detector.live_from(self._text[:encoded]))
        for view in views:
            start = self.detector.live_from(view.text)
            if start < len(view.text):
                live = min(live, *(span[0] for span in view.locate(start, len(view.text))))
        return live

    def _findings(self, views: Sequence[View]) -> Iterator[Finding]:
        yield from self.detector.detect(self._text)
        for view in views:
            for each in self.detector.detect(view.text):
                for start, end in view.locate(each.start, each.end):
                    yield each._replace(start=start, end=end, reading=view.kind)

    def _ahead(self, found: Iterable[Finding]) -> Iterator[Finding]:
        """Yield the findings in the text that has not left. One that starts before it is cut there."""
        for each in found:
            if each.end > self._left:
                yield each if each.start >= self._left else each._replace(start=self._left)

    def _redacted(self, edits: Sequence[_Edit], until: int) -> str:
        parts: list[str] = []
        at = self._left
        for start, end, found in edits:
            if end <= until:
                parts += self._text[at:start], self.replacement(found, self._text[start:end])
                at = end
        parts.append(self._text[at:until])
        return "".join(parts)

    def _forget(self) -> None:
        """Keep the context alone of what has left. A word of it stays whole, since its decoded form is context."""
        reach = self.reach * _ENCODED if "%" in self._text else self.reach
        cut = word_start(self._text, max(0, self._left - reach))
        self._text, self._left = self._text[cut:], self._left - cut


def _merged(found: Iterable[Finding]) -> list[_Edit]:
    """Return the findings in order. Those that overlap become one, in the wording of the first."""
    edits: list[_Edit] = []
    for each in sorted(found, key=lambda one: (one.start, -one.end)):
        if edits and each.start < edits[-1].end:
            edits[-1] = edits[-1]._replace(end=max(edits[-1].end, each.end))
        elif each.end > each.start:
            edits.append(_Edit(each.start, each.end, each))
    return edits


def blocking(guard: str) -> Replacement:
    """Return a replacement that blocks the answer instead, in the name of *guard*."""

    def block(found: Finding, _: str) -> str:
        raise BlockedError(f"the guard {guard} blocked the answer", detail=f"{guard}: {found.kind}")

    return block
