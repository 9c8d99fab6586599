"""Detection of text that is written in invisible characters. Its presence is evidence, since hiding has a purpose.

Three ways are known to reach models. Unicode tags repeat ASCII invisibly (block Tags, U+E0000; UTS #51 gives them one
legitimate use, flags). Variation selectors number 256, so a row of them spells bytes; Unicode defines no sequence with
two. Explicit bidi controls show text in another order than it is read (UAX #9, UTR #36; CVE-2021-42574). The implicit
marks LRM, RLM and ALM move no letter, and legitimate right-to-left text is full of them: they are removed but not
reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple, TypeAlias

from consumers.guard.character_sets import BLACK_FLAG, FLAG_TAGS

Kind: TypeAlias = Literal["hidden tags", "hidden selectors", "bidi controls"]


def _shows(char: str) -> bool:
    return char.isprintable() or char.isspace()


_TAGS: Final = 0xE0000
_SELECTORS: Final = (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))
_BYTES: Final = {code: value for value, code in enumerate(_SELECTORS)}
"""The byte of each selector, for ``str.translate``."""

_LETTERS: Final = {_TAGS + code: char if _shows(char := chr(code)) else None for code in range(0x80)}
"""The letter that each tag repeats, for ``str.translate``."""

_RUNS: Final = re.compile(
    "([\U000e0000-\U000e007f]+)|([\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,})|([\u202a-\u202e\u2066-\u2069]+)"
)
"""Runs of hiding characters. A lone selector hides nothing."""

_KINDS: Final[tuple[Kind, ...]] = ("bidi controls", "hidden tags", "hidden selectors", "bidi controls")
"""The kind of each group of ``_RUNS``, which count from one."""


class Find(NamedTuple):
    """A run of hiding characters."""

    kind: Kind
    start: int
    end: int

    def read(self, text: str) -> str:
        """Return the hidden text, as far as it can be decoded; *text* is the text that contains the run."""
        run = text[self.start : self.end]
        if self.kind == "hidden tags":
            return run.translate(_LETTERS)
        if self.kind == "hidden selectors":
            return _printable(run.translate(_BYTES).encode("latin-1").decode("utf-8", "ignore"))
        return ""

    def without_flag(self, text: str) -> Find:
        """Return the run of tags without those that belong to a flag before it."""
        if text[self.start - 1 : self.start] != BLACK_FLAG:
            return self
        honest = next((tags for tags in FLAG_TAGS if text.startswith(tags, self.start)), "")
        return self._replace(start=self.start + len(honest))


def find(text: str) -> list[Find]:
    """Return every run that hides something, in order, in linear time."""
    finds = [Find(_KINDS[run.lastindex or 0], *run.span()) for run in _RUNS.finditer(text)]
    if BLACK_FLAG not in text:
        return finds
    finds = [found.without_flag(text) if found.kind == "hidden tags" else found for found in finds]
    return [found for found in finds if found.start < found.end]


def hidden_text(text: str, finds: Iterable[Find]) -> str:
    """Return everything that the runs hide, as far as it can be decoded, one line for each run."""
    known: dict[str, str] = {}
    return "\n".join(filter(None, [_read(found, text, known) for found in finds if found.kind != "bidi controls"]))


def _read(found: Find, text: str, known: dict[str, str]) -> str:
    run = text[found.start : found.end]
    if (hidden := known.get(run)) is None:
        hidden = known[run] = found.read(text)
    return hidden


def _printable(text: str) -> str:
    return text if text.isprintable() else "".join(char for char in text if _shows(char))
