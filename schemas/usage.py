"""The usage of a run, by model and by agent, between stages and on ``platform.usage``. It has no content."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from pydantic import Field

from schemas.errors import Status
from schemas.models import Payload
from schemas.results import Usage

USAGE_TYPE = "headrace.usage.v1"

PICO = 1_000_000_000_000
"""Picodollars of one dollar. A price of up to six decimals for a million tokens is a whole number of them a token."""

Count = Annotated[int, Field(ge=0)]


DAY_MS = 86_400_000
_EPOCH = date(1970, 1, 1).toordinal()


def day_of(at_ms: int) -> date:
    """Return the day of UTC at a time in milliseconds since the epoch. Raises ValueError beyond the calendar."""
    return date.fromordinal(_EPOCH + at_ms // DAY_MS)


def usd_of(pico: int) -> float:
    """Return picodollars as dollars. Costs are added as whole picodollars: floats would drift."""
    return pico / PICO


def pico_of(usd: float) -> int:
    """Return dollars as whole picodollars, exactly what ``usd_of`` was given up to 2,000 dollars."""
    return round(usd * PICO)


class ModelSpend(Payload):
    """The calls of one model by one run."""

    model: str
    """The provider's name for the model; empty if unknown."""

    calls: Count = 0
    input_tokens: Count = 0
    output_tokens: Count = 0
    cached_input_tokens: Count = 0
    """The part of ``input_tokens`` that the provider read from its cache."""

    cost_usd: Annotated[float, Field(ge=0)] = 0.0
    """By the platform's price table; 0 for a model without a price."""


class AgentSpend(Payload):
    """The calls that one agent made on one day. Budgets of agents, days and months are counted by it."""

    agent: str
    """The agent that made the calls, also after a handoff."""

    day: date
    """The day of UTC in which the tokens of the calls were reserved."""

    generation: str = ""
    """The state of the budget store that has counted the calls; empty if none has. A rebuilt store has another one."""

    calls: Count = 0
    input_tokens: Count = 0
    output_tokens: Count = 0
    cost_usd: Annotated[float, Field(ge=0)] = 0.0


class RunUsage(Usage):
    """The usage of a run with its shares. It travels with the run; results state only the total."""

    models: tuple[ModelSpend, ...] = ()
    agents: tuple[AgentSpend, ...] = ()

    @property
    def used(self) -> bool:
        """True if the run has called a model or a tool."""
        return bool(self.model_calls or self.tool_calls)

    @property
    def total(self) -> Usage:
        """Return the usage without the shares."""
        return Usage.model_construct(**{name: getattr(self, name) for name in Usage.model_fields})


class UsageRecord(Payload):
    """The usage of one finished run, its earlier attempts included. A run that used nothing has none."""

    tenant: str
    run_id: str
    request_id: str
    agent: str
    issuer: str = ""
    """The issuer that vouches for the caller; empty if it is not known."""

    subject: str
    """The caller, as the identity names it."""

    status: Status
    attempt: Count
    """The number of the last attempt."""

    at_ms: int
    """The time at which the run ended, in milliseconds since the epoch."""

    input_tokens: Count = 0
    output_tokens: Count = 0
    model_calls: Count = 0
    tool_calls: Count = 0
    cost_usd: Annotated[float, Field(ge=0)] = 0.0
    models: tuple[ModelSpend, ...] = ()
    """The share of each model; together the whole usage."""

    agents: tuple[AgentSpend, ...] = ()
    """The share of each agent and day. Usage without a share counts for ``agent`` on the day of ``at_ms``."""
