"""Bank accounts: IBANs (ISO 13616-1) by the country's structure in the SWIFT registry, and ISO 7064 modulo 97."""

from __future__ import annotations

import re
from collections.abc import Iterator
from string import ascii_uppercase, digits
from typing import Final

from consumers.guard.finding import Finding

_STRUCTURES: Final = (
    "AD8n12c AE19n AL8n16c AT16n AZ4a20c BA16n BE12n BG4a6n8c BH4a14c BI23n BR23n1a1c BY4c4n16c CH5n12c CR18n CY8n16c "
    "CZ20n DE18n DJ23n DK14n DO4c20n EE16n EG25n ES20n FI14n FK2a12n FO14n FR10n11c2n GB4a14n GE2a16n GI4a15c GL14n "
    "GR7n16c GT4c20c HN4a20n HR17n HU24n IE4a14n IL19n IQ4a15n IS22n IT1a10n12c JO4a4n18c KW4a22c KZ3n13c LB4n20c "
    "LC4a24c LI5n12c LT16n LU3n13c LV4a13c LY21n MC10n11c2n MD2c18c ME18n MK3n10c2n MN16n MR23n MT4a5n18c MU4a19n3a "
    "NI4a20n NL4a10n NO11n OM3n16c PK4a16c PL24n PS4a21c PT21n QA4a21c RO4a16c RS18n RU14n15c SA2n18c SC4a20n3a SD14n "
    "SE20n SI15n SK20n SM1a10n12c SO19n ST21n SV4a20n TL19n TN20n TR6n16c UA6n19c VA18n VG4a16n XK16n YE4a4n18c"
)
"""Country, then the account: digits (n), letters (a), letters or digits (c)."""

_CLASSES: Final = {"n": "0-9", "a": "A-Z", "c": "0-9A-Z"}
_PART: Final = re.compile(r"(\d+)([nac])")


def _classes(structure: str) -> str:
    return "".join(kind * int(count) for count, kind in _PART.findall(structure))


_ACCOUNTS: Final = {each[:2]: _classes(each[2:]) for each in _STRUCTURES.split()}
LONGEST: Final = 4 + max(map(len, _ACCOUNTS.values()))


def _pattern(classes: str) -> re.Pattern[str]:
    parts = (f"(?:[ -]?[{_CLASSES[kind]}]){{{count}}}" for kind, count in _runs(classes))
    return re.compile("".join(parts), re.IGNORECASE | re.ASCII)


def _runs(classes: str) -> Iterator[tuple[str, int]]:
    for run in re.finditer(r"(.)\1*", classes):
        yield run[1], len(run[0])


_PATTERNS: Final = {country: _pattern(classes) for country, classes in _ACCOUNTS.items()}
_CHECK: Final = re.compile(r"[0-9]{2}(?<=[A-Za-z]{2}[0-9]{2})(?<![\w.][A-Za-z]{2}[0-9]{2})")
_AFTER: Final = re.compile(r"\w|-\w")
_SEPARATOR: Final = re.compile(r"[ -]")
_TAIL: Final = re.compile(r"[A-Za-z]{2}[0-9]{2}(?:[ -]?[0-9A-Za-z])*[ -]?")
_NUMBERS: Final = str.maketrans({letter: str(number) for number, letter in enumerate(ascii_uppercase, 10)})
_CHARACTERS: Final = {"n": frozenset(digits), "a": frozenset(ascii_uppercase), "c": frozenset(digits + ascii_uppercase)}


def ibans(text: str) -> Iterator[Finding]:
    """Yield the IBANs of *text*, in order and without overlaps."""
    for check in _CHECK.finditer(text):
        start = check.start() - 2
        pattern = _PATTERNS.get(text[start : start + 2].upper())
        account = pattern.match(text, check.end()) if pattern else None
        if account and not _AFTER.match(text, account.end()) and is_iban(text[start : account.end()]):
            yield Finding("iban", start, account.end())


def is_iban(candidate: str) -> bool:
    """Return True if the check digits are correct (ISO 7064, modulo 97-10)."""
    plain = _SEPARATOR.sub("", candidate).upper()
    return int((plain[4:] + plain[:4]).translate(_NUMBERS)) % 97 == 1


def iban_live_from(text: str) -> int:
    """Return the offset from which the end of *text* may become an IBAN."""
    for check in _CHECK.finditer(text, max(0, len(text) - 2 * LONGEST)):
        if _may_grow(text[check.start() - 2 :]):
            return check.start() - 2
    return len(text)


def _may_grow(tail: str) -> bool:
    classes = _ACCOUNTS.get(tail[:2].upper(), "")
    plain = _SEPARATOR.sub("", tail[4:]).upper()
    if len(plain) > len(classes) or not _TAIL.fullmatch(tail):
        return False
    return all(char in _CHARACTERS[kind] for char, kind in zip(plain, classes, strict=False))
