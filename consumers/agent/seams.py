"""The places where policy, guards and budgets act on a run. Each is a Protocol with one method.

The defaults allow what the tenant's record allows, and pass every content.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple, Protocol

from consumers.agent.models.port import ModelRequest, ModelUsage
from consumers.agent.provenance import Source
from consumers.agent.run import Run
from consumers.agent.tools.tool import Tool
from consumers.context import StepContext
from schemas.errors import ToolDeniedError
from schemas.results import VerdictInfo
from schemas.usage import day_of


@dataclass(frozen=True, slots=True, kw_only=True)
class StepScope:
    """The run at one step, for the seams."""

    run: Run
    context: StepContext
    instructions: str = field(default="", repr=False)
    """The instructions of the agent whose step it is; for an answer, those of all agents that took part."""

    sources: tuple[Source, ...] = ()
    """The sources of all texts that the run's models have read so far."""

    placeholders: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """The placeholders known so far in the run, with the personal data that each stands for."""


class GuardedText(NamedTuple):
    """A text as the guards pass it on."""

    text: str
    placeholders: Mapping[str, str] = {}
    """New placeholders in the text, with the personal data that each stands for."""

    verdicts: tuple[VerdictInfo, ...] = ()
    """The verdicts other than ``pass``."""

    refusal: str = ""
    """The reason for which the text must not be passed on, in one line that may be shown; empty if it may."""


class GuardedArguments(NamedTuple):
    """The arguments of a tool call as the guards pass them on."""

    arguments: Mapping[str, Any]
    """The same object if the guards have changed nothing; else JSON values, which are validated again."""

    placeholders: Mapping[str, str] = {}
    """New placeholders in the arguments, with the personal data that each stands for."""

    verdicts: tuple[VerdictInfo, ...] = ()
    """The verdicts other than ``pass``."""

    refusal: str = ""
    """The reason for which the tool must not be called, in one line that the model reads; empty if it may."""


class ToolPolicy(Protocol):
    """Decides if a run may call a tool. It is asked after the arguments are validated, before the tool guard."""

    async def __call__(self, tool: Tool, arguments: Mapping[str, Any], scope: StepScope) -> None:
        """Raise ToolDeniedError if the run may not."""
        ...


class ToolGuard(Protocol):
    """Inspects the arguments of a tool call before the tool runs."""

    async def __call__(self, tool: Tool, arguments: Mapping[str, Any], scope: StepScope) -> GuardedArguments:
        """Return the arguments, redacted if need be, or refused. Raise GuardUnavailableError if they cannot be judged.

        The arguments have placeholders for personal data that the guards have found before.
        """
        ...


class ContentGuard(Protocol):
    """Inspects a text: a tool's result or a memory before the model reads it, or an answer before it leaves."""

    async def __call__(self, text: str, source: Source, scope: StepScope) -> GuardedText:
        """Return the text, redacted if need be, or refused. Raise GuardUnavailableError if it cannot be judged now."""
        ...


class Reservation(Protocol):
    """The tokens and the money that are set aside for one model call."""

    @property
    def day(self) -> date:
        """The day of UTC for which the call counts: that of the reservation, by the clock of the budgets."""
        ...

    @property
    def generation(self) -> str:
        """The state of the store that counts the call; empty if none does."""
        ...

    async def called(self) -> None:
        """State that the call is about to be sent: it may cost money from now on.

        Raise BudgetUnavailableError if that cannot be stated. Then the call is not sent.
        """
        ...

    async def settle(self, usage: ModelUsage | None) -> None:
        """Replace the reservation by the actual usage. None: the call was not sent, or the provider refused it.

        A call whose usage is unknown is not settled: it is charged in full.
        """
        ...


class ModelBudget(Protocol):
    """Limits the tokens and the money of model calls."""

    async def __call__(self, request: ModelRequest, model: str, scope: StepScope, call: str) -> Reservation:
        """Reserve the most that one call of *model* can use, and wait for it within the limits of the tenant.

        *call* names the step and the try: a resumed run repeats it. Raise BudgetExhaustedError if a budget is spent,
        RateLimitedError if the wait is too long, BudgetUnavailableError if the budget cannot be counted now.
        """
        ...


async def tenant_tools(tool: Tool, arguments: Mapping[str, Any], scope: StepScope) -> None:  # noqa: ARG001 - the seam's arguments
    """Allow the tools that the tenant's record lists for the agent; without a list, all tools of the agent."""
    run = scope.run
    allowed = run.tenant.tools.get(run.agent)
    if allowed is not None and tool.name not in allowed:
        raise ToolDeniedError(f"the tenant {run.tenant.id} may not use the tool {tool.name} of {run.agent}")


async def pass_arguments(tool: Tool, arguments: Mapping[str, Any], scope: StepScope) -> GuardedArguments:  # noqa: ARG001 - as above
    """Return the arguments unchanged."""
    return GuardedArguments(arguments)


async def pass_text(text: str, source: Source, scope: StepScope) -> GuardedText:  # noqa: ARG001 - as above
    """Return the text unchanged."""
    return GuardedText(text)


@dataclass(frozen=True, slots=True)
class Unreserved:
    """A reservation of nothing."""

    day: date
    """The day of UTC for which the call counts."""

    generation: str = ""

    async def called(self) -> None:
        """Note nothing."""

    async def settle(self, usage: ModelUsage | None) -> None:
        """Count nothing."""


async def unlimited(request: ModelRequest, model: str, scope: StepScope, call: str) -> Reservation:  # noqa: ARG001 - as above
    """Reserve nothing: no limit is set."""
    return unreserved(scope)


def unreserved(scope: StepScope) -> Unreserved:
    """Return a reservation of nothing, for today by the worker's clock."""
    return Unreserved(day_of(scope.context.clock.now_ms()))
