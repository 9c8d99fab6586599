"""Content: a text on its way to the model, the user or a tool, and its source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from consumers.guard.views import View, views_of

Channel: TypeAlias = Literal["request", "tool_result", "memory", "tool_call", "answer"]

NO_PLACEHOLDERS: Final[Mapping[str, str]] = MappingProxyType({})

LARGE = 4_096
"""Characters from which the views of a text are computed outside the event loop."""


@dataclass(frozen=True)
class Content:
    """The text that a guard judges. Its ``repr`` omits the text, to keep it out of logs."""

    text: str = field(repr=False)
    channel: Channel = "request"
    tainted: bool = False
    """True if any of it comes from an untrusted source. Provenance: no guard changes it."""

    tool: str = ""
    """Name of the tool, for the channels ``tool_call`` and ``tool_result``."""

    instructions: str = field(default="", repr=False)
    """The agent's instructions, for the channel ``answer``: they must not leave."""

    placeholders: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """The placeholders known so far in the run, with the personal data that each stands for. Not to be changed."""

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

    def rewritten(self, text: str, hidden: str = "", placeholders: Mapping[str, str] = NO_PLACEHOLDERS) -> Content:
        """Return the same content with another text; *hidden* and *placeholders* are added to its own."""
        if text == self.text and not hidden and not placeholders:
            return self  # the usual case; it keeps views that are already computed
        return replace(
            self,
            text=text,
            hidden="\n".join(filter(None, (self.hidden, hidden))),
            placeholders={**self.placeholders, **placeholders},
        )
