"""Content: a text on its way to the model, the user or a tool, and its source."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal, TypeAlias

from consumers.guard.views import View, views_of

Channel: TypeAlias = Literal["request", "tool_result", "memory", "tool_call", "answer"]

LARGE = 4_096
"""Characters from which the views of a text are computed outside the event loop."""


@dataclass(frozen=True)
class Content:
    """The text that a guard judges. Its ``repr`` omits the text, to keep it out of logs."""

    text: str = field(repr=False)
    channel: Channel = "request"
    tainted: bool = False
    """True if any of it comes from an untrusted source. Provenance: no guard changes it."""

    hidden: str = field(default="", repr=False)
    """Text that was written in invisible characters within it, now removed. For detectors only."""

    @cached_property
    def views(self) -> tuple[View, ...]:
        """The other readings of the current text: decoded once, and hidden. Detectors read these too."""
        return views_of(self.text, self.hidden)

    def with_views(self, views: tuple[View, ...]) -> None:
        """Keep *views*, which were computed elsewhere."""
        self.__dict__["views"] = views  # the place in which cached_property looks

    @property
    def readings(self) -> tuple[str, ...]:
        """The text, then the text of each view."""
        return self.text, *(view.text for view in self.views)

    def rewritten(self, text: str, hidden: str = "") -> Content:
        """Return the same content with another text; *hidden* is added to its hidden text."""
        if text == self.text and not hidden:
            return self  # the usual case; it keeps views that are already computed
        return replace(self, text=text, hidden="\n".join(filter(None, (self.hidden, hidden))))
