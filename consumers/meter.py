"""The meter seam: figures of agents, for metrics.

``streams.telemetry`` implements ``AgentMeter``; by default the figures are dropped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

from schemas.guards import GuardStage

OK = "ok"
"""The outcome of an operation that succeeded. A failed one has the code of its error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentEnded:
    """An invocation of an agent has ended."""

    kind: Literal["agent"] = "agent"
    agent: str
    outcome: str
    seconds: float
    resumed: bool = False
    """True if the invocation continued a run from its journal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCallEnded:
    """An attempt of a model call has ended."""

    kind: Literal["model"] = "model"
    agent: str
    model: str
    outcome: str
    seconds: float
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallEnded:
    """A tool call has ended."""

    kind: Literal["tool"] = "tool"
    agent: str
    tool: str
    outcome: str
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffEnded:
    """An agent has passed the run to another agent."""

    kind: Literal["handoff"] = "handoff"
    agent: str
    target: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardEnded:
    """A guard has judged one content."""

    kind: Literal["guard"] = "guard"
    stage: GuardStage
    guard: str
    action: str
    """The action that counts: ``pass`` for a guard in shadow mode."""

    seconds: float
    shadow: str = ""
    """The action that a guard in shadow mode would have taken."""


BudgetOutcome: TypeAlias = Literal["waited", "rate_limited", "exhausted", "unavailable", "soft_limit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetDecided:
    """A limit has delayed or refused a model call, or its soft share was reached."""

    kind: Literal["budget"] = "budget"
    tenant: str
    outcome: BudgetOutcome
    limit: str
    """Spender, period and measure, such as ``user_day_tokens``; ``store`` or ``ledger`` for ``unavailable``."""


Measurement: TypeAlias = AgentEnded | ModelCallEnded | ToolCallEnded | HandoffEnded | GuardEnded | BudgetDecided


class AgentMeter(Protocol):
    """Records the figures of agents."""

    def record(self, measurement: Measurement) -> None:
        """Add one measurement. It takes any name; unknown ones share a label."""
        ...


class NoMeter:
    """Drops each measurement."""

    def record(self, measurement: Measurement) -> None:
        """Drop the measurement."""
