"""Content: a text on its way to the model, the user or a tool, and where it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, TypeAlias

from consumers.guard.views import View, views_of

Channel: TypeAlias = Literal["request", "tool_result", "memory", "tool_call", "answer"]

LARGE = 32_768
"""Characters from which the work on a text leaves the event loop for a thread."""


@dataclass(frozen=True)
class Content:
    """What a guard judges. Its representation shows no text, so that no log does."""

    text: str = field(repr=False)
    channel: Channel = "request"
    tainted: bool = False
    """Whether any of it comes from a source that is not trusted. Provenance: no guard changes it."""

    hidden: str = field(default="", repr=False)
    """What was written in it in characters nobody sees. It has been taken out; for detectors only."""

    @cached_property
    def views(self) -> tuple[View, ...]:
        """The other readings of the text as it is now: decoded once, hidden. Detectors read these too."""
        return views_of(self.text, self.hidden)

    @property
    def readings(self) -> tuple[str, ...]:
        """The text, then the text of each view."""
        return self.text, *(view.text for view in self.views)

    def rewritten(self, text: str, hidden: str = "") -> Content:
        """The same content with another text, and with what more was *hidden* in the former."""
        if text == self.text and not hidden:
            return self  # as most texts are; with the views that somebody may have looked at
        return replace(self, text=text, hidden="\n".join(filter(None, (self.hidden, hidden))))
