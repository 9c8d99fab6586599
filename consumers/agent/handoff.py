"""Handoffs and delegates: other agents as tools of a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from consumers.agent.models.port import ToolSpec

Context: TypeAlias = Literal["conversation", "request"]

TRANSFER = "transfer_to_"
ASK = "ask_"


@dataclass(frozen=True, slots=True)
class Handoff:
    """Another agent that may take over the run."""

    agent: str
    context: Context = "conversation"
    """``conversation``: it reads all messages so far. ``request``: only the user's text and the reason."""

    description: str = ""
    """The text by which the model decides. The other agent's description by default."""

    @property
    def tool_name(self) -> str:
        """Return the name of the function that the model calls."""
        return f"{TRANSFER}{self.agent}"


def handoff_spec(handoff: Handoff, description: str) -> ToolSpec:
    """Return the handoff as a model sees it."""
    told = handoff.description or f"Hand the conversation over to {handoff.agent}. {description}".strip()
    return ToolSpec(handoff.tool_name, told, _one_text("reason", "The reason, for the other agent."))


def delegate_spec(agent: str, description: str) -> ToolSpec:
    """Return the delegate as a model sees it."""
    told = f"Ask {agent}, and get its answer. {description}".strip()
    return ToolSpec(f"{ASK}{agent}", told, _one_text("request", "The whole task: it sees nothing else."))


def _one_text(name: str, description: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {name: {"type": "string", "description": description}},
        "required": [name],
        "additionalProperties": False,
    }
