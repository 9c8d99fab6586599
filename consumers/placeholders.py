"""Placeholders: fixed names such as ``<EMAIL_1>`` in place of personal data, for texts that a model reads.

A placeholder belongs to the run or the session whose map has it. Literals of the same form that a user or a tool wrote
are put into square brackets first, so that each ``<EMAIL_1>`` in a text was written by the platform.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import count
from typing import Any, Final, NamedTuple, Protocol

_PLACEHOLDER: Final = re.compile(r"<([A-Z][A-Z0-9]{0,31}_[1-9][0-9]{0,6})>")
_SEPARATORS: Final = re.compile(r"[\W_]+")
_NAMES: Final[Mapping[str, str]] = {"payment_card": "CARD", "us_ssn": "SSN", "ip_address": "IP"}
_SPELLED: Final = frozenset({"EMAIL", "IP"})
"""Names whose values keep their separators when they are compared."""


class Located(Protocol):
    """A value in a text: its kind and its offsets."""

    @property
    def kind(self) -> str:
        """The kind of personal data, such as ``email``."""
        ...

    @property
    def start(self) -> int:
        """Offset of the first character."""
        ...

    @property
    def end(self) -> int:
        """Offset past the last character."""
        ...


class Numbered(NamedTuple):
    """A text with placeholders."""

    text: str
    placeholders: dict[str, str]
    """The new placeholders, each with the value that it stands for."""


class Merged(NamedTuple):
    """A request's text with the placeholders of its session."""

    placeholders: dict[str, str]
    """All placeholders of the session, old and new."""

    text: str


class PlaceholderNames:
    """Gives each value its placeholder. It skips the numbers of *known* placeholders and of literals in *text*."""

    def __init__(self, known: Mapping[str, str], text: str = "") -> None:
        self.new: dict[str, str] = {}
        """The placeholders that were given, each with the value that it stands for."""

        self._by_value = {(_kind(each), same_value(_kind(each), value)): each for each, value in known.items()}
        self._taken = {*known, *(each[0] for each in literals(text))}
        self._last: dict[str, int] = {}

    def name(self, kind: str, value: str) -> str:
        """Return the placeholder of the value, a new one if it has none yet."""
        name = _name(kind)
        key = (name, same_value(kind, value))
        if key not in self._by_value:
            self._by_value[key] = placeholder = self._next(name)
            self.new[placeholder] = value
        return self._by_value[key]

    def _next(self, name: str) -> str:
        for number in count(self._last.get(name, 0) + 1):
            if (placeholder := f"<{name}_{number}>") not in self._taken:
                self._last[name] = number
                return placeholder
        raise AssertionError("numbers do not end")


def literals(text: str) -> Iterator[re.Match[str]]:
    """Return the matches of all placeholders in *text*, of the platform and of others."""
    return _PLACEHOLDER.finditer(text)


def escaped(text: str, own: Container[str] = ()) -> str:
    """Return the text with each placeholder that is not in *own* in square brackets. Offsets do not change.

    It is for texts of users, tools and memories, before anything in them is numbered.
    """
    if "<" not in text:
        return text
    return _PLACEHOLDER.sub(lambda match: match[0] if match[0] in own else f"[{match[1]}]", text)


def numbered(text: str, found: Iterable[Located], known: Mapping[str, str]) -> Numbered:
    """Return the text with a placeholder for each value. Equal values share one, also with those in *known*.

    *found* is in the text's order and without overlaps. Numbers of literals in *text* are not given out.
    """
    names = PlaceholderNames(known, text)
    parts: list[str] = []
    at = 0
    for each in found:
        parts += text[at : each.start], names.name(each.kind, text[each.start : each.end])
        at = each.end
    return Numbered("".join((*parts, text[at:])), names.new)


def restored(value: Any, placeholders: Mapping[str, str]) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON value with the originals in all its strings, keys included. An original is not searched again."""
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda match: placeholders.get(match[0], match[0]), value) if "<" in value else value
    if isinstance(value, Mapping):
        return {restored(key, placeholders): restored(each, placeholders) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [restored(each, placeholders) for each in value]
    return value


def merged(session: Mapping[str, str], request: Mapping[str, str], text: str) -> Merged:
    """Return the session's placeholders with those of one request, and the request's text renumbered to them.

    The guard stage numbers each request from 1. A literal in *text* that is not one of *request* is escaped.
    """
    names = PlaceholderNames(session)
    renumbered = {old: names.name(_kind(old), value) for old, value in request.items()}
    text = _PLACEHOLDER.sub(lambda match: renumbered.get(match[0], f"[{match[1]}]"), text)
    return Merged({**session, **names.new}, text)


def same_value(kind: str, value: str) -> str:
    """Return the spelling by which two values of one kind are compared: without case and, mostly, separators."""
    plain = value.casefold()
    return plain if _name(kind) in _SPELLED else _SEPARATORS.sub("", plain)


def _name(kind: str) -> str:
    return _NAMES.get(kind) or _SEPARATORS.sub("", kind).upper()


def _kind(placeholder: str) -> str:
    return placeholder[1:].rpartition("_")[0]
