"""The metrics of agents. Names that the worker does not know share the label ``other``."""

from __future__ import annotations

from dataclasses import dataclass, field

from consumers.meter import (
    OK,
    AgentEnded,
    BudgetDecided,
    GuardEnded,
    HandoffEnded,
    Measurement,
    ModelCallEnded,
    ToolCallEnded,
)
from schemas.errors import BY_CODE
from streams.telemetry.metric_definitions import (
    AGENT_SECONDS,
    AGENT_STEPS,
    BUDGET_DECISIONS,
    GUARD_SECONDS,
    GUARD_VERDICTS,
    HANDOFFS,
    MODEL_CALL_SECONDS,
    MODEL_TOKENS,
    RESUMED_RUNS,
    TOOL_CALL_SECONDS,
)
from streams.telemetry.metric_store import OTHER, MetricStore

_OUTCOMES = frozenset({OK, *BY_CODE})
_LIMITS = frozenset(
    {"store", "ledger"}
    | {f"{spender}_{period}_usd" for spender in ("tenant", "user", "agent") for period in ("day", "month")}
    | {
        f"{spender}_{period}_tokens"
        for spender in ("tenant", "user", "agent", "model")
        for period in ("minute", "day", "month")
    }
)
"""The limits of spending that become labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownNames:
    """The agents, models and tools of a worker: the names that become labels."""

    agents: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()
    """The names that agents use, and those of the provider."""

    tools: frozenset[str] = frozenset()
    guards: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class AgentMetrics:
    """Counts what agents do."""

    metrics: MetricStore
    known: KnownNames = field(default_factory=KnownNames)

    def record(self, measurement: Measurement) -> None:
        """Add one measurement."""
        match measurement:
            case AgentEnded():
                self._agent(measurement)
            case ModelCallEnded():
                self._model(measurement)
            case ToolCallEnded():
                self._tool(measurement)
            case HandoffEnded():
                self._handoff(measurement)
            case GuardEnded():
                self._guard(measurement)
            case BudgetDecided():
                self._budget(measurement)

    def _agent(self, ended: AgentEnded) -> None:
        agent = _label(ended.agent, self.known.agents)
        self.metrics.tally(AGENT_SECONDS, agent, _label(ended.outcome, _OUTCOMES)).observe(ended.seconds)
        if ended.resumed:
            self.metrics.count(RESUMED_RUNS, agent)

    def _model(self, ended: ModelCallEnded) -> None:
        model, outcome = _label(ended.model, self.known.models), _label(ended.outcome, _OUTCOMES)
        self.metrics.tally(MODEL_CALL_SECONDS, model, outcome).observe(ended.seconds)
        for direction, tokens in (("input", ended.input_tokens), ("output", ended.output_tokens)):
            if tokens:
                self.metrics.count(MODEL_TOKENS, model, direction, by=tokens)
        if outcome == OK:
            self._step(ended)

    def _tool(self, ended: ToolCallEnded) -> None:
        tool, outcome = _label(ended.tool, self.known.tools), _label(ended.outcome, _OUTCOMES)
        self.metrics.tally(TOOL_CALL_SECONDS, tool, outcome).observe(ended.seconds)
        self._step(ended)

    def _handoff(self, ended: HandoffEnded) -> None:
        agent, target = _label(ended.agent, self.known.agents), _label(ended.target, self.known.agents)
        self.metrics.count(HANDOFFS, agent, target, _label(ended.outcome, _OUTCOMES))
        self._step(ended)

    def _guard(self, ended: GuardEnded) -> None:
        guard = _label(ended.guard, self.known.guards)
        action = f"shadow_{ended.shadow}" if ended.shadow else ended.action
        self.metrics.count(GUARD_VERDICTS, ended.stage, guard, action)
        self.metrics.tally(GUARD_SECONDS, guard).observe(ended.seconds)

    def _budget(self, decided: BudgetDecided) -> None:
        limit = _label(decided.limit, _LIMITS)
        self.metrics.count(BUDGET_DECISIONS, decided.outcome, limit, *self.metrics.tenant(decided.tenant))

    def _step(self, ended: ModelCallEnded | ToolCallEnded | HandoffEnded) -> None:
        self.metrics.count(AGENT_STEPS, _label(ended.agent, self.known.agents), ended.kind)


def _label(value: str, known: frozenset[str]) -> str:
    return value if value in known else OTHER
