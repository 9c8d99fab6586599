"""Judge a text as a stream: split into deltas, as an answer that a model writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from consumers.guard.content import Content
from consumers.guard.stream import StreamGuard
from schemas.errors import BlockedError


@dataclass(frozen=True, slots=True)
class StreamCheck:
    """Judges texts in deltas of one size."""

    make: Callable[[Content], StreamGuard]
    size: int
    """Characters of a delta."""

    def __call__(self, content: Content) -> dict[str, Any]:
        """Return the action, the text that leaves, and the most characters that are held back."""
        stream = self.make(content)
        released: list[str] = []
        held = 0
        try:
            for at in range(0, len(content.text), self.size):
                released.append(stream.feed(content.text[at : at + self.size]))
                held = max(held, sum(len(stage.held) for stage in stream.stages))
            released.append(stream.finish())
        except BlockedError as error:
            return {"action": "block", "text": "".join(released), "held": held, "reason": error.detail}
        text = "".join(released)
        return {"action": "pass" if text == content.text else "redact", "text": text, "held": held}
