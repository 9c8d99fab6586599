"""The usage of a run so far. It is counted also if the run fails, expires or is cancelled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import NamedTuple

from schemas.results import Usage
from schemas.usage import AgentSpend, ModelSpend, RunUsage, pico_of, usd_of

NOTHING = RunUsage()
NOTHING_IN_TOTAL = NOTHING.total
"""Usage of a run that has called no model and no tool."""

MODELS_LIMIT = 16
"""Models of one run that are counted apart. A provider may name a new one in each answer."""

OTHER_MODELS = "other"
"""The name under which all further models are counted together."""


SHARES_LIMIT = 64
"""Shares of one run that are counted apart. A usage record's agent counts for further ones."""


class SpendShare(NamedTuple):
    """The share of a run's usage for which a call counts."""

    agent: str
    day: date
    generation: str = ""
    """The state of the budget store that has counted the call; empty if none has."""


@dataclass(slots=True)
class _Tally:
    """The calls of one model, or of one share."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_input_tokens: int = 0
    cost_pico: int = 0

    def add(self, calls: int, input_tokens: int, output_tokens: int, cached_input_tokens: int, cost_pico: int) -> None:
        self.calls += calls
        self.input_tokens += input_tokens
        self.output_tokens += output_tokens
        self.cached_input_tokens += cached_input_tokens
        self.cost_pico += cost_pico

    def spend(self, model: str) -> ModelSpend:
        return ModelSpend(
            model=model,
            calls=self.calls,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cached_input_tokens=self.cached_input_tokens,
            cost_usd=usd_of(self.cost_pico),
        )

    def agent_spend(self, share: SpendShare) -> AgentSpend:
        return AgentSpend(
            agent=share.agent,
            day=share.day,
            generation=share.generation,
            calls=self.calls,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            cost_usd=usd_of(self.cost_pico),
        )


@dataclass(slots=True)
class Spending:
    """The usage of one run, its earlier attempts included. The step adds to it while it runs."""

    counted: Callable[[RunUsage], None] | None = None
    """Called with the usage after each call of a model or a tool."""

    tool_calls: int = 0
    models: dict[str, _Tally] = field(default_factory=dict[str, _Tally])
    agents: dict[SpendShare, _Tally] = field(default_factory=dict[SpendShare, _Tally])

    def resume(self, usage: RunUsage) -> None:
        """Continue from the usage of the earlier attempts."""
        self.tool_calls, self.models, self.agents = usage.tool_calls, {}, {}
        for part in usage.agents:
            counted = (part.calls, part.input_tokens, part.output_tokens, 0, pico_of(part.cost_usd))
            self._agent_tally(SpendShare(part.agent, part.day, part.generation)).add(*counted)
        for each in usage.models:
            spent = (each.calls, each.input_tokens, each.output_tokens, each.cached_input_tokens)
            self._tally(each.model).add(*spent, pico_of(each.cost_usd))

    def add(
        self,
        input_tokens: int,
        output_tokens: int,
        *,
        model: str = "",
        cached_input_tokens: int = 0,
        cost_pico: int = 0,
        share: SpendShare | None = None,
    ) -> None:
        """Count one answered call of a model. *model* is the provider's name; *cost_pico* is in picodollars.

        A call without a share counts for the run's agent when the run ends.
        """
        call = (1, input_tokens, output_tokens, cached_input_tokens, cost_pico)
        self._tally(model).add(*call)
        if share is not None:
            self._agent_tally(share).add(*call)
        self._tell()

    def add_tool_call(self) -> None:
        """Count one call of a tool."""
        self.tool_calls += 1
        self._tell()

    @property
    def usage(self) -> Usage:
        """The usage so far, in total."""
        return self.itemized.total if self.models or self.tool_calls else NOTHING_IN_TOTAL

    @property
    def itemized(self) -> RunUsage:
        """The usage so far, with a share for each model, and for each agent and day."""
        if not self.models and not self.tool_calls:
            return NOTHING
        tallies = self.models.values()
        return RunUsage(
            input_tokens=sum(each.input_tokens for each in tallies),
            output_tokens=sum(each.output_tokens for each in tallies),
            model_calls=sum(each.calls for each in tallies),
            tool_calls=self.tool_calls,
            cost_usd=usd_of(sum(each.cost_pico for each in tallies)),
            models=tuple(tally.spend(model) for model, tally in self.models.items()),
            agents=tuple(tally.agent_spend(share) for share, tally in self.agents.items()),
        )

    def _tally(self, model: str) -> _Tally:
        if model not in self.models and len(self.models) >= MODELS_LIMIT:
            model = OTHER_MODELS
        return self.models.setdefault(model, _Tally())

    def _agent_tally(self, share: SpendShare) -> _Tally:
        """Return the tally of a share; beyond the limit, one that no record states."""
        if share not in self.agents and len(self.agents) >= SHARES_LIMIT:
            return _Tally()
        return self.agents.setdefault(share, _Tally())

    def _tell(self) -> None:
        if self.counted is not None:
            self.counted(self.itemized)
