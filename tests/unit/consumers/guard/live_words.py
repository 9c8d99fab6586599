"""A live detector for tests: tokens, addresses and blocks, with the boundaries that real detectors have."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from consumers.guard.finding import Finding

TOKEN = "tok_" + "A1b2C3d4E5f6"
ADDRESS = "jane.doe@example.com"
BLOCK = "<<BEGIN>> one\ntwo three\n<<END>>"

_MATCH = re.compile(
    r"(?P<token>(?<![A-Za-z0-9_])tok_[A-Za-z0-9]{12}(?![A-Za-z0-9_]))"
    r"|(?P<address>(?<![\w.])[\w.]{1,64}@[\w.]{1,64}\.[a-z]{2,10}(?![\w.@]))"
    r"|(?P<block><<BEGIN>>(?s:.*?)<<END>>)"
    r"|(?P<pass>(?<=pass=)[^\s,;]{6,40}(?![^\s,;]))"
)
_LIVE = re.compile(
    r"(?:<(?:<(?:B(?:E(?:G(?:I(?:N(?:>(?:>(?s:.*))?)?)?)?)?)?)?)?"
    r"|(?<![\w.])[\w.]{1,65}(?:@[\w.@]{0,76})?"
    r"|p(?:a(?:s(?:s(?:=[^\s,;]{0,41})?)?)?)?)\Z"
)


@dataclass
class LiveWords:
    """Finds them, and counts the characters that it reads."""

    read: int = field(default=0)

    def detect(self, text: str, /) -> Iterable[Finding]:
        """Return the findings of one reading."""
        self.read += len(text)
        return [Finding(match.lastgroup or "", *match.span()) for match in _MATCH.finditer(text)]

    def live_from(self, text: str, /) -> int:
        """Return the start of the first partial match."""
        self.read += len(text)
        opened = text.rfind("<<BEGIN>>")
        if opened >= 0 and "<<END>>" not in text[opened:]:
            return text.index("<<BEGIN>>", text.rfind("<<END>>", 0, opened) + 1)
        live = _LIVE.search(text)
        return live.start() if live else len(text)
