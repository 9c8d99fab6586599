"""Literal placeholders in a stream: those that the platform did not write are put into square brackets."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from consumers.guard.finding import Finding
from consumers.guard.pii.task import LITERAL
from consumers.placeholders import literals

_BEGUN: Final = re.compile(r"<(?:[A-Z][A-Z0-9]{0,31}(?:_(?:[1-9][0-9]{0,6})?)?)?\Z")
_LONGEST: Final = 42


@dataclass(frozen=True, slots=True)
class LiveLiterals:
    """The detector of placeholders that are not in *own*."""

    own: frozenset[str]

    def detect(self, text: str, /) -> Iterable[Finding]:
        """Return the literal placeholders."""
        return [Finding(LITERAL, *each.span()) for each in literals(text) if each[0] not in self.own]

    def live_from(self, text: str, /) -> int:
        """Return the start of the placeholder with which the text ends."""
        begun = _BEGUN.search(text, max(0, len(text) - _LONGEST))
        return begun.start() if begun else len(text)


def escape(_: Finding, literal: str) -> str:
    """Return the placeholder in square brackets."""
    return f"[{literal[1:-1]}]"
