"""The links of a text that lead to hosts which are not listed, in any notation that a reader's program may follow.

The notations: Markdown (CommonMark 0.31), HTML, bare addresses, and URLs as browsers read them (WHATWG URL Standard),
with their character references, backslashes and line breaks. Takes linear time.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from consumers.guard.detection import NOTHING, Detected, detected, redacted
from consumers.guard.finding import Finding

REMOVED: Final = "[link removed]"
"""No valid destination of a Markdown link: its first blank ends the link."""

START: Final = re.compile(
    r"(?P<scheme>(?<![a-z0-9])(?:(?:https?|ftp|wss?|javascript|vbscript|mailto):(?=\S)|file:(?=[/\\])|blob:(?=http)"
    r"|data:(?=[\w.+/;=-]{0,200},)))"
    r"|(?P<slashes>:[/\\]{2})"
    r"|(?P<relative>(?<![^\s\"'(=<,\[;|>])[/\\]{2}(?=\d|0x|[^\s/\\<>\"'`]{0,253}[.\[%@&]|[^\x00-\x7f]))"
    r"|(?P<www>(?<![a-z0-9.@/-])www\.)",
    re.IGNORECASE,
)
_HOST: Final = re.compile(r"[a-z0-9.-]{1,253}(?::\d{1,5})?", re.IGNORECASE)
_AUTHORITY: Final = re.compile(r"[^\s<>\"`/?#]*")
"""The rest of what may be the host for one program and the user's name for another (RFC 3986, section 3.2.1)."""

_ODD: Final = re.compile(r"[@%&\\]|[^\x00-\x7f]")
_END: Final = re.compile(r"[^\s<>\"`]*")
_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*\Z", re.IGNORECASE)
_SCHEME_LENGTH: Final = 32
_TOKEN: Final = re.compile(r"[^\s<>\"'`()]+")
_ESCAPE: Final = re.compile(r"\\([!-/:-@\[-`{-~])")
VALUE: Final = re.compile(r"=\s{0,20}([\"'])")
_BREAKS: Final = str.maketrans("", "", "\t\n\r")
VALUE_LENGTH: Final = 2_000


class Place(NamedTuple):
    """A link, as offsets of characters."""

    start: int
    end: int


def find_links(text: str, hidden: str, hosts: str) -> Detected:  # noqa: ARG001 - a task's arguments
    """Return the links to other hosts than those of the JSON array *hosts*, and the text without them."""
    places = link_places(text, hosts)
    if not places:
        return NOTHING
    found = [Finding("link", *place) for place in places]
    return detected(found, text=redacted(text, found, lambda _: REMOVED))


class Hosts:
    """The listed hosts: names, and ``*.NAME`` for all names below one."""

    def __init__(self, listed: tuple[str, ...]) -> None:
        self._names = {each for each in listed if not each.startswith("*.")}
        self._ends = tuple(each[1:] for each in listed if each.startswith("*."))

    def __contains__(self, host: str) -> bool:
        return host in self._names or bool(self._ends and host.endswith(self._ends))


@lru_cache(maxsize=256)
def _listed(hosts: str) -> Hosts:
    return Hosts(tuple(each.lower() for each in json.loads(hosts)))


def link_places(text: str, listed: str) -> list[Place]:
    """Return the links to other hosts than those of the JSON array *listed*."""
    hosts = _listed(listed)
    places = [*_plain(text, hosts), *_broken(text, hosts)]
    if "&" in text or "\\" in text:
        places += _escaped(text, hosts)
    return places


def _plain(text: str, hosts: Hosts) -> Iterator[Place]:
    done = 0
    while (found := START.search(text, done)) is not None:
        start = found.start() if found.lastgroup != "slashes" else scheme_start(text, found.start(), done)
        if _is_listed(text, found, hosts):
            done = found.end()
            continue
        done = max(_end(text, found.end()), found.end())
        yield Place(start, done)


def scheme_start(text: str, colon: int, done: int) -> int:
    """Return the start of the scheme before a colon, at *done* or after it; the colon if there is none."""
    found = _SCHEME.search(text[max(done, colon - _SCHEME_LENGTH) : colon])
    return colon - len(found[0]) if found else colon


def _is_listed(text: str, start: re.Match[str], hosts: Hosts) -> bool:
    """Return True for a web address with a listed host and nothing else before its path."""
    at = start.end()
    if start.lastgroup == "scheme":
        if start["scheme"].lower() not in {"http:", "https:"} or not text.startswith("//", at):
            return False
        at += 2
    elif start.lastgroup == "www":
        at = start.start()
    elif start.lastgroup == "slashes" or "\\" in start[0]:
        return False
    host = _HOST.match(text, at)
    rest = _AUTHORITY.match(text, host.end() if host else at)
    if host is None or (rest and _ODD.search(rest[0])):
        return False
    return host[0].lower().partition(":")[0].rstrip(".") in hosts


def _end(text: str, start: int) -> int:
    """Return the end of a link: closing brackets without an opening one, and a sentence's marks, are not part of it."""
    match = _END.match(text, start)
    link = match[0] if match else ""
    depth = 0
    for place, character in enumerate(link):
        depth += (character == "(") - (character == ")")
        if depth < 0:
            return start + place
    return start + len(link.rstrip("'.,;:!?*_]"))


def _escaped(text: str, hosts: Hosts) -> Iterator[Place]:
    """Yield the words that are links once their character references and backslashes are read."""
    for word in _TOKEN.finditer(text):
        if "&" in word[0] or "\\" in word[0]:
            read = html.unescape(word[0])
            if _leads_out(read, hosts) or _leads_out(_ESCAPE.sub(r"\1", read), hosts):
                yield Place(*word.span())


def _broken(text: str, hosts: Hosts) -> Iterator[Place]:
    """Yield the quoted values of HTML attributes that are links once their line breaks are removed."""
    for quote in VALUE.finditer(text):
        end = text.find(quote[1], quote.end(), quote.end() + VALUE_LENGTH)
        value = text[quote.end() : max(end, 0)]
        if any(each in value for each in "\t\n\r") and _leads_out(html.unescape(value), hosts):
            yield Place(quote.end(), end)


def _leads_out(text: str, hosts: Hosts) -> bool:
    return next(_plain(text.translate(_BREAKS).strip(), hosts), None) is not None
