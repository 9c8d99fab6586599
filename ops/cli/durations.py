"""Parse a duration: ``500ms``, ``30s``, ``2m``, ``1h``, or a plain number of seconds."""

from __future__ import annotations

import math

from ops.errors import InvalidError

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0}


def seconds(text: str) -> float:
    """Return *text* in seconds. Raises InvalidError unless it is a finite time above zero."""
    number, unit = text.strip(), 1.0
    for suffix, factor in UNITS.items():
        if number.endswith(suffix):
            number, unit = number.removesuffix(suffix), factor
            break
    try:
        value = float(number) * unit
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        message = f"`{text}` is no time: write 500ms, 30s, 2m or 1h"
        raise InvalidError(message)
    return value
