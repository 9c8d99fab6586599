"""The conversation of one agent: its messages, and the source of each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from consumers.agent.models.port import Message
from consumers.agent.provenance import Source


class Turn(NamedTuple):
    """One message and its source."""

    message: Message
    source: Source


@dataclass(slots=True)
class Conversation:
    """The turns so far, without the agent's instructions."""

    turns: list[Turn] = field(default_factory=list[Turn])

    @property
    def messages(self) -> tuple[Message, ...]:
        """The messages, oldest first."""
        return tuple(turn.message for turn in self.turns)

    def add(self, message: Message, source: Source) -> None:
        """Add a message."""
        self.turns.append(Turn(message, source))
