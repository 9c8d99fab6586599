"""E-mail addresses (RFC 5321, section 4.5.3.1, and RFC 6531), without quoted local parts and address literals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from consumers.guard.finding import Finding

LONGEST: Final = 320
"""Characters: 64 of the local part, the sign, 255 of the domain."""

LOCAL: Final = 64
DOMAIN: Final = 255

_LOCAL: Final = r"\w.!#$%&'*+^~-"
"""Characters of local parts. Other RFC 5322 atoms (``=``, ``/``, ``?``, braces) separate words in practice."""

_UNSPACED: Final = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
"""Scripts that write no space between words, so that an ASCII address follows a word directly."""

_AT: Final = re.compile(r"@(?=[^\W_])")
_BACKWARDS: Final = re.compile(rf"[{_LOCAL}]{{1,{LOCAL}}}+")
_ONE_SCRIPT: Final = re.compile(rf"[^{_UNSPACED}]+")
_DOMAIN: Final = re.compile(
    r"(?:[^\W_][\w-]{0,62}+\.(?=[^\W_])){1,32}+(?:xn--[A-Za-z0-9-]{2,59}|[A-Za-z]{2,24}(?![A-Za-z0-9_])|[^\W\d_a-zA-Z]{2,24})"
)
_TAIL: Final = re.compile(
    rf"(?:[\w.-]{{0,{LOCAL}}}:)?[\w.-]{{0,{DOMAIN}}}@[{_LOCAL}]{{1,{LOCAL}}}|[{_LOCAL}]{{1,{LOCAL}}}"
)
"""The end of a text, backwards: an address with the start of a path, or a word that may be a local part."""


_USERINFO: Final = re.compile(r"://[^\s/@]*\Z")
_PATH: Final = re.compile(r":[~/]|\(|:[\w.-]{1,64}/")
_NUMBERED: Final = re.compile(r"\d+\.\d+\.|\d+x\.|(?:self|this)\.")
_NO_DOMAIN_WORDS: Final = """
avif bmp conf css csv device dll docx dtype exe gif html ico internal jpeg jpg js json jsx localdomain localhost
lock log mount mp4 path pdf plist png reshape scope service shape slice socket sum svg swap target tif tiff
timer toml transpose ts tsx txt webp xlsx xml yaml yml
"""
_NO_DOMAINS: Final = frozenset(_NO_DOMAIN_WORDS.split())
"""Last labels that are no top-level domain: file endings, systemd units, attributes in code, private hosts."""

_NO_PEOPLE: Final = (".gserviceaccount.com", ".cluster.local", ".local.lan")


def emails(text: str) -> Iterator[Finding]:
    """Yield the e-mail addresses of *text*, in order and without overlaps."""
    end = 0
    for sign in _AT.finditer(text):
        at = sign.start()
        if (domain := _DOMAIN.match(text, at + 1)) is None or domain.end() - at > DOMAIN:
            continue
        start = _local_start(text, at, end)
        if start < at and _is_address(text, start, domain):
            end = domain.end()
            yield Finding("email", start, end)


def _local_start(text: str, at: int, after: int) -> int:
    before = text[max(after, at - LOCAL) : at]
    run = _BACKWARDS.match(before[::-1])
    if run is None or before[-1] == ".":
        return at
    local = run[0] if run[0].isascii() else _spaced(run[0])
    return at - len(local.rstrip(".!#$%&'*^~-"))


def _spaced(backwards: str) -> str:
    part = _ONE_SCRIPT.match(backwards)
    return part[0] if part else backwards


def _is_address(text: str, start: int, domain: re.Match[str]) -> bool:
    name = domain[0].lower()
    if name.rpartition(".")[2] in _NO_DOMAINS or name.endswith(_NO_PEOPLE) or _NUMBERED.match(name):
        return False
    if _PATH.match(text, domain.end()):  # a method call, or a host and a path as scp and git write them
        return False
    return "://" not in (before := text[max(0, start - LOCAL) : start]) or not _USERINFO.search(before)


def email_live_from(text: str) -> int:
    """Return the offset from which the end of *text* may become an address."""
    found = _TAIL.match(text[: -LONGEST - LOCAL - 2 : -1])
    return len(text) - found.end() if found else len(text)
