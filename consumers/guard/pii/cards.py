"""Payment cards: the issuers' ranges and lengths (ISO/IEC 7812-1), and the Luhn check digit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from consumers.guard.finding import Finding
from consumers.guard.pii.surroundings import names_identifier

_S: Final = r"[ \-\u2010-\u2015]"

_GROUPED: Final = re.compile(
    rf"""(?x)
    (?<![\w$€£+]) (?<!\d[.,]) (?<!\w-) (?<!\+\d[ ]) (?<!\+\d\d[ ]) (?<!\+\d{{3}}[ ])
    (?<!\d{{4}}{_S}) (?<!\b[A-Za-z]{{2}}\d\d[ ])
    (?=
      ( \d{{12,19}}
      | \d{{4}} (?:{_S}\d{{4}}){{2,3}} (?:{_S}?\d{{1,4}}){{0,2}}
      | \d{{4}} {_S}\d{{6}} {_S}\d{{4,5}}
      | \d{{4}} (?:{_S}\d{{3}}){{3}}
      | \d{{6}} [ ]\d{{6,13}}
      | \d{{8}} [ ]\d{{8}}
      )
      (?!\d)
    )
    """
)
"""Groups of card numbers as they are printed. Shorter numbers before it hide none."""

_EVEN: Final = re.compile(
    rf"(?<![\w.,])(?<!\d{_S})"
    rf"(?:\d(?:{_S}\d){{13,15}}(?!\d|{_S}\d(?!\d))|\d\d(?:{_S}\d\d){{6,7}}(?:{_S}\d)?(?!{_S}?\d))"
)
"""A number in single digits or in pairs, with nothing else beside it."""

_AFTER: Final = re.compile(rf"(?:{_S}\d{{4}}){{2}}|\w|[.,]\d|:\w|{_S.replace(' ', '')}\w")
_GROUP: Final = re.compile(r"\d+")
_DOUBLED: Final = bytes.maketrans(b"0123456789", bytes(sum(divmod(2 * digit, 10)) + 48 for digit in range(10)))

_ISSUERS: Final = re.compile(
    r"""(?x)
    4 (?: \d{12} | \d{15} | \d{17,18} )                                         # Visa
    | (?: 5[1-5]\d\d | 222[1-9] | 22[3-9]\d | 2[3-6]\d\d | 27[01]\d | 2720 ) \d{12}     # Mastercard
    | 3[47]\d{13}                                                               # American Express
    | (?: 30[0-5]\d | 3095 | 3[689]\d\d ) \d{10,15}                             # Diners Club
    | 35\d{14,17} | (?: 2131 | 1800 ) \d{11}                                    # JCB
    | (?: 6011 | 64[4-9]\d | 65\d\d | 62\d\d | 81\d\d | 60\d\d ) \d{12,15}      # Discover, UnionPay, RuPay
    | 220[0-4]\d{12,15} | 9792\d{12}                                            # Mir, Troy
    | (?: 50\d\d | 5[6-8]\d\d | 6[0-9]\d\d ) \d{12,15}                          # Maestro
    | (?: 50\d\d | 5[6-8]\d\d | 0604 | 6304 | 6390 | 67\d\d ) \d{8,11}          # Maestro, shorter
    """
)


def cards(text: str) -> Iterator[Finding]:
    """Yield the card numbers of *text*, in order and without overlaps."""
    end = 0
    for candidate in _GROUPED.finditer(text):
        if candidate.start() >= end and (found := _card(text, candidate.start(), candidate[1])):
            end = found
            yield Finding("payment_card", candidate.start(), end)
    for even in _EVEN.finditer(text):
        if is_card(_digits(even[0])) and not names_identifier(text, even.start()):
            yield Finding("payment_card", *even.span())


def _card(text: str, start: int, candidate: str) -> int:
    """Return the end of the longest card number that begins the candidate and ends with a group; 0 if none."""
    for size in sorted({group.end() for group in _GROUP.finditer(candidate)}, reverse=True):
        number = candidate[:size]
        if not is_card(_digits(number)) or _AFTER.match(text, start + size):
            continue
        return 0 if names_identifier(text, start) else start + size
    return 0


def _digits(candidate: str) -> str:
    return candidate if candidate.isdecimal() else "".join(_GROUP.findall(candidate))


def is_card(digits: str) -> bool:
    """Return True for the digits of a card number of a known issuer with a correct check digit."""
    return _ISSUERS.fullmatch(digits) is not None and _luhn(digits)


def _luhn(digits: str) -> bool:
    """Check the last digit (ISO/IEC 7812-1, annex B)."""
    backwards = digits.encode()[::-1]
    odd, even = backwards[::2], backwards[1::2].translate(_DOUBLED)
    return (sum(odd) + sum(even) - 48 * len(backwards)) % 10 == 0
