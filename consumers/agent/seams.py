"""The places where policy, guards and budgets act on a run. Each is a Protocol with one method.

The defaults allow what the tenant's record allows, and pass every content.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from consumers.agent.models.port import ModelRequest, ModelUsage
from consumers.agent.provenance import Source
from consumers.agent.run import Run
from consumers.agent.tools.tool import Tool
from schemas.errors import ToolDeniedError


class ToolPolicy(Protocol):
    """Decides if a run may call a tool. It is asked after the arguments are validated, before the tool guard."""

    async def __call__(self, tool: Tool, arguments: Mapping[str, Any], run: Run) -> None:
        """Raise ToolDeniedError if the run may not."""
        ...


class ToolGuard(Protocol):
    """Inspects the arguments of a tool call before the tool runs."""

    async def __call__(self, tool: Tool, arguments: Mapping[str, Any], run: Run) -> Mapping[str, Any]:
        """Return the arguments, redacted if need be. Raise ToolDeniedError or BlockedError to refuse the call."""
        ...


class ContentGuard(Protocol):
    """Inspects a text: a tool's result or a memory before the model reads it, or an answer before it leaves."""

    async def __call__(self, text: str, source: Source, run: Run) -> str:
        """Return the text, redacted if need be. Raise BlockedError to refuse it."""
        ...


class ModelBudget(Protocol):
    """Limits the tokens and the money of model calls."""

    async def __call__(self, request: ModelRequest, run: Run) -> None:
        """Reserve the call's tokens. Raise BudgetExhaustedError if the budget is spent."""
        ...

    async def settle(self, usage: ModelUsage, run: Run) -> None:
        """Count the actual usage of the call that was reserved last for the run."""
        ...


async def tenant_tools(tool: Tool, arguments: Mapping[str, Any], run: Run) -> None:  # noqa: ARG001 - the seam's arguments
    """Allow the tools that the tenant's record lists for the agent; without a list, all tools of the agent."""
    allowed = run.tenant.tools.get(run.agent)
    if allowed is not None and tool.name not in allowed:
        raise ToolDeniedError(f"the tenant {run.tenant.id} may not use the tool {tool.name} of {run.agent}")


async def pass_arguments(tool: Tool, arguments: Mapping[str, Any], run: Run) -> Mapping[str, Any]:  # noqa: ARG001 - as above
    """Return the arguments unchanged."""
    return arguments


async def pass_text(text: str, source: Source, run: Run) -> str:  # noqa: ARG001 - as above
    """Return the text unchanged."""
    return text


class Unlimited:
    """A budget without limits."""

    async def __call__(self, request: ModelRequest, run: Run) -> None:
        """Reserve nothing."""

    async def settle(self, usage: ModelUsage, run: Run) -> None:
        """Count nothing."""
