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
_BYTES: Final = {chr(code): value for value, code in enumerate(_SELECTORS)}
_LETTERS: Final = {_TAGS + code: char if _shows(char := chr(code)) else None for code in range(0x80)}
"""The letter that each tag repeats, for ``str.translate``."""

_RUNS: Final = re.compile(
    "(?P<tags>[\U000e0000-\U000e007f]+)"
    "|(?P<selectors>[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2,})"
    "|(?P<bidi>[\u202a-\u202e\u2066-\u2069]+)"
)
"""Runs of hiding characters. A lone selector hides nothing."""

_KINDS: Final[dict[str, Kind]] = {"tags": "hidden tags", "selectors": "hidden selectors", "bidi": "bidi controls"}


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
            return _printable(bytes(_BYTES[char] for char in run).decode("utf-8", "ignore"))
        return ""


def find(text: str) -> list[Find]:
    """Return every run that hides something, in order, in linear time."""
    return [found for run in _RUNS.finditer(text) if (found := _find(run, text))]


def hidden_text(text: str, finds: Iterable[Find]) -> str:
    """Return everything that the runs hide, as far as it can be decoded, one line for each run."""
    return "\n".join(filter(None, [found.read(text) for found in finds if found.kind != "bidi controls"]))


def _find(run: re.Match[str], text: str) -> Find | None:
    """Return the run without a flag's tags; None if that is all of it."""
    start, end = run.span()
    kind = _KINDS[run.lastgroup or ""]
    if kind == "hidden tags" and text[start - 1 : start] == BLACK_FLAG:
        start += len(next((tags for tags in FLAG_TAGS if text.startswith(tags, start)), ""))
    return Find(kind, start, end) if start < end else None


def _printable(text: str) -> str:
    return "".join(char for char in text if _shows(char))
