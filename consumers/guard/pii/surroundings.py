"""The words directly before a candidate, which can make it an identifier of something else."""

from __future__ import annotations

import re
from typing import Final

WINDOW: Final = 40
"""Characters before a candidate that are read for its context."""

_JOINTS: Final = " \t\r\n.:#=\"'([<*_-"
_WORD: Final = re.compile(r"[^\W\d_]+")
_ASCII_DIGITS: Final = {code: str(int(chr(code))) for code in range(0x80, 0x20000) if chr(code).isdecimal()}

_THING_WORDS: Final = """
account acct article artikel asin barcode batch bestellung build bug bytes cas case catalog catalogue code
commande commit doi drawing ean epoch error facture factura guid hash id ids imei invoice isbn issn issue item
job key line lines lot model offset order page pages parcel part parts patent pedido pid pmid po port product
range rechnung ref reference request revision row rows run serial shipment sku skus span task ticket timestamp
trace tracking transaction txn upc uuid version gtin fdc
checksum crc seq sequence digest nonce size count total index arxiv
"""
_THINGS: Final = frozenset(_THING_WORDS.split())
_COUNTERS: Final = frozenset(["number", "numbers", "num", "no", "nos", "nr", "id", "ids", "code", "codes", "key"])
_LINKS: Final = frozenset(["is", "was", "for"])
_PHONE_NUMBERS: Final = ("rufnummer", "telefonnummer", "handynummer", "mobilnummer", "faxnummer", "mobilfunknummer")


def words_before(text: str, start: int) -> list[str]:
    """Return up to three words, in lower case, that end directly before *start*; none if digits are between."""
    before = text[max(0, start - WINDOW) : start].rstrip(_JOINTS)
    if not before[-1:].isalpha():
        return []
    return [word.lower() for word in _WORD.findall(before)[-3:]]


def names_identifier(text: str, start: int) -> bool:
    """Return True if the words directly before *start* name an order, a part or another technical identifier."""
    words = words_before(text, start)
    if words and words[-1] in _LINKS:
        words.pop()
    if not words:
        return False
    last = words[-1]
    if last.endswith("nummer") and last != "nummer":
        return not last.endswith(_PHONE_NUMBERS)
    return last in _THINGS or (last in _COUNTERS and len(words) > 1 and words[-2] in _THINGS)


def with_ascii_digits(text: str) -> str:
    """Return the text with the decimal digits of all scripts as ASCII digits; offsets do not change."""
    return text if text.isascii() else text.translate(_ASCII_DIGITS)
