"""Parse the amount of a limit: ``100000``, ``100k``, ``1.5M``, ``200``; ``0`` or ``none`` for no limit."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation

from ops.errors import InvalidError

UNITS = {"k": 1_000, "M": 1_000_000, "G": 1_000_000_000}
MOST = 10**12
"""The highest limit of tokens."""

MOST_USD = 10**6
"""The highest limit of dollars. Its picodollars are a whole number of 63 bits, with room for debt."""


def tokens(text: str) -> int | None:
    """Return a number of tokens; None for no limit. Raises InvalidError unless it is a whole number."""
    amount = _amount(text, MOST, "100000, 100k or 5M")
    if amount != int(amount):
        raise InvalidError(f"`{text}` is no whole number of tokens: write 100000, 100k or 5M")
    return int(amount) or None


def dollars(text: str) -> float | None:
    """Return US dollars; None for no limit. Raises InvalidError."""
    return float(_amount(text.removeprefix("$"), MOST_USD, "200 or 0.50")) or None


def _amount(text: str, most: int, examples: str) -> Decimal:
    number, factor = text.strip().replace("_", ""), 1
    if number.lower() == "none":
        return Decimal(0)
    if number and number[-1] in UNITS:
        number, factor = number[:-1], UNITS[number[-1]]
    try:
        amount = Decimal(number) * factor
    except InvalidOperation:
        amount = Decimal("nan")
    if amount.is_finite() and amount > most:
        raise InvalidError(f"`{text}` is more than {most:,}, the highest limit: write none to lift it")
    if not (amount.is_finite() and amount >= 0):
        raise InvalidError(f"`{text}` is no limit: write {examples}, or none to lift it")
    return amount
