"""One tool call of a run: validated, allowed, journaled, bounded in time and size, and never repeated blindly."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from consumers.agent.agents import Agent
from consumers.agent.call_check import CallCheck
from consumers.agent.genai import AgentTelemetry
from consumers.agent.journal.port import ENTRY_LIMIT
from consumers.agent.middleware import Operation
from consumers.agent.models.port import ToolCall
from consumers.agent.provenance import Source
from consumers.agent.run import Run
from consumers.agent.run_state import RunState
from consumers.agent.source_log import SourceLog
from consumers.agent.step_values import ToolStep, decode, encode
from consumers.agent.tools.outcome import ToolOutcome, failed, succeeded
from consumers.agent.tools.signature import IDEMPOTENCY_KEY, RUN
from consumers.agent.tools.tool import Tool
from consumers.resilience.cancel_count import cancel_count
from schemas.errors import (
    BlockedError,
    GuardUnavailableError,
    HeadraceError,
    InternalError,
    TooLargeError,
    ToolError,
    ToolFailedError,
    ToolOutcomeUnknownError,
    ToolTimeoutError,
    chain_of,
    resolve_error,
)
from schemas.results import VerdictInfo


@dataclass(frozen=True, slots=True)
class ToolCaller:
    """Makes the tool calls of one agent in one run."""

    state: RunState
    agent: Agent
    read: SourceLog
    """The sources of all texts that the agent's models have read before these calls."""

    held: frozenset[str] | None
    """The capabilities that the run holds; None for all."""

    telemetry: AgentTelemetry

    def check_outcome(self, tool: Tool, step: str) -> None:
        """Raise ToolOutcomeUnknownError if the call may have been made before, and must not be made twice."""
        steps = self.state.steps
        if tool.repeatable or steps.finished(step) is not None:
            return
        if steps.lost or steps.started(step):
            raise ToolOutcomeUnknownError(f"the tool {tool.name} may have run before, and its outcome is unknown")

    def replayed(self, run: Run, step: str) -> ToolOutcome | None:
        """Return the recorded outcome of a step, also of a tool that the agent has no longer; None if there is none."""
        recorded = self.state.steps.finished(step)
        if recorded is None:
            return None
        found: ToolStep = decode(ToolStep, recorded)
        for _ in range(found.calls if found.attempt == run.attempt else 0):
            run.spending.add_tool_call()
        return found.outcome

    async def __call__(self, run: Run, tool: Tool, call: ToolCall, step: str) -> ToolOutcome:
        """Make the call, record its outcome and return it. A ToolError becomes a text for the model.

        Raises the errors of guards other than ToolDeniedError; ExpiredError at the deadline.
        """
        begun: list[str] = []
        with self.telemetry.execute_tool(
            tool=tool.name, call_id=call.id, description=tool.description, step=step, arguments=call.arguments
        ) as execution:
            outcome = await self._made(run, tool, call, step, begun)
            execution.result(outcome.text)
            if outcome.error:
                execution.fail(outcome.error)
        return await self._recorded(run, tool, outcome, step, len(begun)) if self.state.recorded else outcome

    async def _recorded(self, run: Run, tool: Tool, outcome: ToolOutcome, step: str, calls: int) -> ToolOutcome:
        made = ToolStep(agent=self.agent.name, attempt=run.attempt, tool=tool.name, outcome=outcome, calls=calls)
        value = encode(made)
        if len(value) > ENTRY_LIMIT:  # JSON may take six bytes for one
            outcome = failed(ToolFailedError(f"the result of {tool.name} is too long to be kept"))
            value = encode(made.model_copy(update={"outcome": outcome}))
        await self.state.steps.finish(step, value)
        return outcome

    async def _made(self, run: Run, tool: Tool, call: ToolCall, step: str, begun: list[str]) -> ToolOutcome:
        check, verdicts = CallCheck(self.state, self.agent, self.read, self.held), list[VerdictInfo]()
        try:
            arguments = await check(run, tool, call.arguments, verdicts)
        except ToolError as error:
            outcome = failed(error)
        else:
            outcome = await self._called(run, tool, arguments, step, begun)
            outcome = await self._guarded(run, tool, outcome, verdicts)
        return outcome.model_copy(update={"verdicts": tuple(verdicts)}) if verdicts else outcome

    async def _called(
        self, run: Run, tool: Tool, arguments: Mapping[str, Any], step: str, begun: list[str]
    ) -> ToolOutcome:
        """Return the outcome of an allowed call. Its error may quote the tool's texts, so it is not the platform's."""
        self.state.steps.may_start()
        if not tool.repeatable:
            await self.state.steps.start(step)
        chain = self.state.chain(self.agent, partial(self._run, tool, begun))
        source = Source(kind="tool", name=tool.name, trusted=tool.trusted)
        try:
            value = await chain(Operation("tool", tool.name, arguments, run, step))
            return succeeded(tool.name, value, tool.result_limit, source)
        except ToolError as error:
            return failed(error, source)

    async def _guarded(self, run: Run, tool: Tool, outcome: ToolOutcome, verdicts: list[VerdictInfo]) -> ToolOutcome:
        """Return the outcome as the model may read it. A refused result becomes an error, and the run goes on.

        Raises GuardUnavailableError only if the tool may be called again: an effect must not lose its outcome.
        """
        scope = self.state.scope(run, self.agent, self.read)
        try:
            guarded = await self.state.services.input_guard(outcome.text, outcome.source, scope)
        except (BlockedError, TooLargeError) as error:
            return failed(error)
        except GuardUnavailableError as error:
            if tool.repeatable:
                raise
            return failed(error)
        verdicts += guarded.verdicts
        if guarded.refusal:
            return failed(BlockedError(guarded.refusal))
        if guarded.text == outcome.text:
            return outcome
        text = self.state.placeholders.take_guarded(guarded, scope.placeholders)
        return outcome.model_copy(update={"text": text, "placeholders": self.state.placeholders.within(text)})

    async def _run(self, tool: Tool, begun: list[str], operation: Operation) -> Any:  # noqa: ANN401 - a tool returns what it likes
        self.state.steps.may_start()  # a middleware may have lasted beyond the worker's session
        run, limit, before = operation.run, asyncio.timeout(tool.timeout), cancel_count()
        begun.append(operation.step)
        run.spending.add_tool_call()
        try:
            async with limit:
                return await self._call(tool, {**operation.value, **self._injected(tool, operation)}, run)
        except TimeoutError as error:
            if limit.expired():
                raise ToolTimeoutError(f"the tool {tool.name} did not answer within {tool.timeout:g} s") from error
            raise _tool_error(tool, error) from error
        except GeneratorExit:
            raise
        except asyncio.CancelledError as error:
            if cancel_count() > before:
                raise
            raise _tool_error(tool, error) from error  # the tool awaited something that was cancelled
        except BaseException as error:  # an exit in a tool must end the call, not the worker
            if any(isinstance(each, HeadraceError) for each in chain_of(error)):
                raise resolve_error(error) from error
            raise _tool_error(tool, error) from error

    async def _call(self, tool: Tool, arguments: Mapping[str, Any], run: Run) -> Any:  # noqa: ANN401 - as above
        if tool.is_async:
            return await tool.function(**arguments)
        made = await run.threads.run(partial(tool.function, **arguments), deadline=run.deadline)
        return await made if inspect.isawaitable(made) else made

    def _injected(self, tool: Tool, operation: Operation) -> dict[str, Any]:
        given = {RUN: operation.run, IDEMPOTENCY_KEY: f"{operation.run.run_id}.{operation.step}"}
        return {name: given[name] for name in tool.signature.injected}


def _tool_error(tool: Tool, error: BaseException) -> HeadraceError:
    if isinstance(error, MemoryError):
        return InternalError(f"the tool {tool.name} ran out of memory")
    return ToolFailedError(f"the tool {tool.name} raised {type(error).__name__}", detail=repr(error))
