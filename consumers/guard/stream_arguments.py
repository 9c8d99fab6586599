"""The output guard of a tool call's arguments, which a model writes as JSON in deltas.

Each string is a text of its own: its escapes are decoded, it is guarded, and it is encoded again. So no escape hides a
match, and a redaction never breaks the JSON. A member's name is the context of its value, as ``password=`` would be. A
number is guarded as the text of its digits, and becomes a string if that is redacted. From the first place that is no
JSON (RFC 8259), the text is held back to its end and guarded as one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from consumers.guard.stream import HELD_LIMIT, StreamGuard, too_much_held

MakeStream: TypeAlias = Callable[[str], StreamGuard]
"""Returns the guard of one text that follows this context, such as ``password=``; "" is none."""

NAME_LIMIT: Final = 64
"""Characters of a member's name that are context."""

_NAME: Final = re.compile(r"[\w. -]+")
"""A name that is context. Any other name may be a match itself."""

_OUTSIDE: Final = re.compile(r'(?P<quote>")|(?P<scalar>[-+.\w]+)|(?P<structure>[ \t\r\n{}\[\],:]+)')
_SCALAR: Final = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null")
_INSIDE: Final = re.compile(r'(?:[^"\\]++|\\(?:u[0-9a-fA-F]{4}|[^u]))+')
_ESCAPE: Final = re.compile(r"\\(?:u(....)|(.))", re.DOTALL)
_LONGEST_ESCAPE: Final = 6
_LETTERS: Final = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


@dataclass(slots=True)
class StreamArguments:
    """Guards the arguments of one tool call. It has the methods of a StreamGuard."""

    make: MakeStream
    _rest: str = field(default="", init=False)
    """The start of an escape or of a scalar, or all from the first place that is no JSON."""

    _string: StreamGuard | None = field(default=None, init=False)
    """The guard of the open string; None between strings."""

    _last: str = field(default="", init=False)
    """The start of the last string, which may turn out to be a member's name."""

    _name: str = field(default="", init=False)
    """The name of the member whose value is next."""

    def feed(self, delta: str) -> str:
        """Return the JSON that may leave now. Raise BlockedError if the call must not go on."""
        text, at = self._rest + delta, 0
        parts: list[str] = []
        while at < len(text):
            ahead = (
                self._outside(text, at, parts) if self._string is None else self._inside(self._string, text, at, parts)
            )
            if ahead == at:
                break
            at = ahead
        self._rest = text[at:]
        if len(self._rest.encode("utf-8", "surrogatepass")) > HELD_LIMIT:
            raise too_much_held()
        return "".join(parts)

    def finish(self) -> str:
        """Return the rest. A text that is no complete JSON is guarded, too."""
        rest, self._rest = self._rest, ""
        if self._string is None:
            return self._guarded(rest)
        return _encoded(self._string.feed(rest) + self._string.finish())

    def _outside(self, text: str, at: int, parts: list[str]) -> int:
        """Pass on a part between strings. Return the offset after it; *at* if it has to wait."""
        found = _OUTSIDE.match(text, at)
        if found is None:
            return at
        part = found[0]
        if found["scalar"]:
            if found.end() == len(text) or not _SCALAR.fullmatch(part):
                return at
            guarded = self._guarded(part)
            part = part if guarded == part else f'"{_encoded(guarded)}"'
        elif found["quote"]:
            self._string, self._last = self.make(self._context()), ""
        else:
            self._follow(part)
        parts.append(part)
        return found.end()

    def _follow(self, structure: str) -> None:
        """Note the name of the next value."""
        if ":" in structure:
            self._name = self._last
        elif "," in structure or "}" in structure:
            self._name = ""

    def _context(self) -> str:
        return f"{self._name}=" if _NAME.fullmatch(self._name) else ""

    def _guarded(self, text: str) -> str:
        guard = self.make(self._context())
        return guard.feed(text) + guard.finish()

    def _inside(self, guard: StreamGuard, text: str, at: int, parts: list[str]) -> int:
        """Guard a part of the open string. Return the offset after it; *at* if it has to wait."""
        if text[at] == '"':
            parts += _encoded(guard.finish()), '"'
            self._string = None
            return at + 1
        found = _INSIDE.match(text, at)
        if found is None and len(text) - at < _LONGEST_ESCAPE:
            return at
        decoded = _ESCAPE.sub(_letter, found[0]) if found else text[at]  # a stray backslash is text
        self._last = (self._last + decoded[:NAME_LIMIT])[:NAME_LIMIT]
        parts.append(_encoded(guard.feed(decoded)))
        return found.end() if found else at + 1


def _letter(escape: re.Match[str]) -> str:
    return chr(int(escape[1], 16)) if escape[1] else _LETTERS.get(escape[2], escape[2])


def _encoded(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
