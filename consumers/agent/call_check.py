"""The check of one tool call before the tool runs: its arguments, the capability, the policy and the guard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json

from consumers.agent.agents import Agent
from consumers.agent.run import Run
from consumers.agent.run_state import RunState
from consumers.agent.source_log import SourceLog
from consumers.agent.tools.arguments import arguments_of
from consumers.agent.tools.tool import Tool
from schemas.errors import ToolDeniedError
from schemas.results import VerdictInfo


@dataclass(frozen=True, slots=True)
class CallCheck:
    """Checks the tool calls of one agent in one run."""

    state: RunState
    agent: Agent
    read: SourceLog
    """The sources of all texts that the agent's models have read before the calls."""

    held: frozenset[str] | None
    """The capabilities that the run holds; None for all."""

    async def __call__(self, run: Run, tool: Tool, written: str, verdicts: list[VerdictInfo]) -> Mapping[str, Any]:
        """Return the arguments for the tool, which a model has *written* as JSON. Add the guard's verdicts.

        Policy and guard see placeholders; the tool gets the personal data that they stand for.

        Raises a ToolError if the call is not allowed; GuardUnavailableError if the guard cannot judge it now.
        """
        given = arguments_of(tool, written, self.state.placeholders.known)
        self._check_capability(tool)
        scope = self.state.scope(run, self.agent, self.read)
        await self.state.services.policy(tool, given.shown, scope)
        guarded = await self.state.services.tool_guard(tool, given.shown, scope)
        verdicts += guarded.verdicts
        if guarded.refusal:
            raise ToolDeniedError(guarded.refusal)
        if guarded.arguments is given.shown:
            return given.real
        changed = to_json(guarded.arguments, inf_nan_mode="constants").decode()
        return arguments_of(tool, changed, {**scope.placeholders, **guarded.placeholders}).real

    def _check_capability(self, tool: Tool) -> None:
        if tool.capability and self.held is not None and tool.capability not in self.held:
            raise ToolDeniedError(f"this run does not hold the capability {tool.capability}")
