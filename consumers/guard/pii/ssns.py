"""Social security numbers of the United States, by the rules of the Social Security Administration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from consumers.guard.finding import Finding
from consumers.guard.pii.surroundings import WINDOW, names_identifier

_NUMBER: Final = re.compile(
    r"""(?x)
    (?<![\w$€£]) (?<![\w][.\-/]) (?<!\d[ ,])
    (?!000|666|9) (?P<area>\d{3}) (?P<separator>[ .\-\u2010-\u2015]?) (?!00) \d{2} (?P=separator) (?!0000) \d{4}
    (?! \w | [.,\-/]\w )
    """
)
"""No area 000, 666 or 900 to 999, no group 00, no serial number 0000."""

_CONTEXT: Final = re.compile(
    r"(?i)(?<![^\W_])(?:ssns?|social[\s_-]?security|soc\.?[\s_-]?sec|social|tax[\s_-]?(?:payer|id)|itin|tin)(?![^\W_])"
)


def ssns(text: str) -> Iterator[Finding]:
    """Yield the numbers with dashes, and those that a word before them announces."""
    for number in _NUMBER.finditer(text):
        start = number.start()
        announced = _CONTEXT.search(text, max(0, start - WINDOW), start) is not None
        dashed = number["separator"] not in {"", " ", "."}
        if announced or (dashed and not names_identifier(text, start)):
            yield Finding("us_ssn", *number.span())
