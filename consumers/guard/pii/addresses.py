"""IP addresses of a person's connection: global unicast only.

Private, loopback, link-local, shared (RFC 6598), documentation, reserved, multicast and unspecified addresses name no
person, and a version number with four parts is no address.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, TypeAlias

from consumers.guard.finding import Finding
from consumers.guard.pii.surroundings import words_before

_V4: Final = re.compile(
    r"(?<![\w.])(?<![\w.][_-])(?<!::ffff:)(?<!::FFFF:)(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)\.){3}(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
    r"(?![\w]|\.[\w]|[-+~][A-Za-z]|-\d+[A-Za-z])",
    re.ASCII,
)
_V6: Final = re.compile(
    r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?:(?:\.\d{1,3}){3})?(?![\w:]|\.\w)", re.ASCII
)
_PREFIX: Final = re.compile(r"/(\d{1,3})(?!\d)")
_REQUIREMENT: Final = ("==", ">=", "<=", "~=", "!=", "^=", "§", "§ ", "== ", ">= ", "<= ")
_VERSION_WORDS: Final = """
appendix assembly build chapter clause driver fig figure firmware fw hotfix nuget oid package patch
paragraph plugin rel release releases rev revision sdk sec section sections step table ver vers version versions
"""
_VERSIONS: Final = frozenset(_VERSION_WORDS.split())
_LONG_GROUPS: Final = re.compile(r"(?:[^:]{3,4}\b.*){3}")
"""``1:2:3:4:5:6:7:8`` is a ratio, and eight groups of two are a part of a fingerprint."""

_LINKS: Final = frozenset(["number", "no", "is", "was", "of", "to", "from", "string"])
_CHANGES: Final = ("upgrad", "updat", "downgrad", "migrat", "bump")

Address: TypeAlias = IPv4Address | IPv6Address


def addresses(text: str) -> Iterator[Finding]:
    """Yield the personal addresses of *text*: version 4, then version 6."""
    for found in (*_V4.finditer(text), *_V6.finditer(text)):
        address = personal(found[0])
        if address and not _is_version(text, found.start()) and not _is_network(text, found.end(), address):
            yield Finding("ip_address", *found.span())


@lru_cache(maxsize=4_096)
def personal(spelling: str) -> Address | None:
    """Return the address if it can be a person's: global, and no multicast; None otherwise."""
    try:
        address = IPv4Address(spelling) if ":" not in spelling else IPv6Address(spelling)
    except AddressValueError:
        return None
    return address if _is_personal(address, spelling) else None


def _is_personal(address: Address, spelling: str) -> bool:
    if not address.is_global or address.is_multicast:
        return False
    if isinstance(address, IPv4Address) or address.ipv4_mapped:
        return True
    if address.packed[0] >> 5 == 1:  # the addresses that are assigned to networks today: 2000::/3
        return True
    return "::" not in spelling and _LONG_GROUPS.search(spelling) is not None  # `a::b` joins names in code


def _is_version(text: str, start: int) -> bool:
    """Return True after a word for versions or sections, a comparison, or the name of a product and a slash."""
    before = text[max(0, start - 3) : start].rstrip("\"'")
    if before.endswith(_REQUIREMENT) or (before.endswith("/") and before[-2:-1].isalpha()):
        return True
    words = words_before(text, start)
    if words and words[-1] in _LINKS:
        words.pop()
        if any(word.startswith(_CHANGES) for word in words):
            return True
    return bool(words) and (words[-1] in _VERSIONS or words[-1].endswith("version"))


def _is_network(text: str, end: int, address: Address) -> bool:
    """Return True for a prefix in CIDR notation, such as 8.8.8.0/24, which is no one host."""
    if not (length := _PREFIX.match(text, end)) or int(length[1]) >= address.max_prefixlen:
        return False
    return not int(address) & ((1 << address.max_prefixlen - int(length[1])) - 1)
