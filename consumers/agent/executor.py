"""The step that runs an agent: it turns a screened request into a succeeded or cancelled result, or an error."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from consumers.agent.agents import Agent
from consumers.agent.models.port import Model, ModelRequest, ModelResponse
from consumers.agent.output import as_json
from consumers.agent.registry import AgentRegistry
from consumers.agent.run import Run
from consumers.context import StepContext
from consumers.resilience.cancel import Cancels
from consumers.resilience.deadline import Deadline
from consumers.resilience.retry import Retry
from consumers.resilience.timeouts import lazy_timeout
from schemas.clock import SystemClock
from schemas.errors import CancelledRunError, HeadraceError, InternalError, UnknownAgentError, chain_of
from schemas.headers import TRACEPARENT, Headers
from schemas.requests import Request
from schemas.results import ErrorInfo, Result, Timing, verdict_info
from schemas.stage_records import Screened


@dataclass(frozen=True, slots=True)
class _NoModel:
    """A placeholder for a model that the worker lacks. Only an agent that calls its model fails."""

    name: str

    async def complete(self, request: ModelRequest) -> ModelResponse:  # noqa: ARG002 - the port's argument
        raise InternalError(f"this worker has no model named {self.name!r}")


@dataclass(frozen=True, slots=True)
class Executor:
    """Runs the agent that the request names."""

    agents: AgentRegistry
    models: Mapping[str, Model]
    """Models by the names that agents use."""

    retry: Retry = field(default_factory=Retry)
    cancels: Cancels = field(default_factory=lambda: Cancels(SystemClock()))

    async def __call__(self, screened: Screened, context: StepContext) -> Result:
        """Return the agent's answer; for a cancelled run, a ``cancelled`` result with its usage so far.

        Raises UnknownAgentError; ExpiredError when the deadline passes, before or during the run; InternalError for an
        exception of the agent, unless it is or wraps a HeadraceError.
        """
        agent = self._agent(screened)
        run = self._run(agent, screened, context)
        run.deadline.check()
        began, scope = context.clock.monotonic(), partial(self.cancels.scope, run.run_id, run.deadline)
        try:
            self.cancels.check(run.run_id)
            output = as_json(await lazy_timeout(scope, _answer(agent, screened.text, run)), agent.name)
        except CancelledRunError as error:
            ended = {"status": "cancelled", "error": ErrorInfo(code=error.code, message=error.public_message)}
            return _result(screened, run, None, _since(began, context)).model_copy(update=ended)
        return _result(screened, run, output, _since(began, context))

    def _agent(self, screened: Screened) -> Agent:
        name = screened.authorized.request.agent
        if name not in self.agents:
            raise UnknownAgentError(f"no agent named {name!r} is deployed")
        return self.agents[name]

    def _run(self, agent: Agent, screened: Screened, context: StepContext) -> Run:
        authorized = screened.authorized
        return Run(
            agent=agent.name,
            instructions=agent.instructions,
            tenant=context.tenant,
            request=_asking(authorized.request, screened.text),
            request_id=authorized.request_id,
            run_id=authorized.run_id,
            attempt=screened.attempt,
            deadline=Deadline(authorized.deadline_ms, context.clock),
            model=self.models.get(agent.model) or _NoModel(agent.model),
            retry=self.retry,
            spending=context.spending,
            traceparent=Headers(context.trace).text(TRACEPARENT),
        )


def _asking(request: Request, text: str) -> Request:
    """Return the request with the text that the guards passed. Most texts pass unchanged."""
    return request if request.input == text else request.model_copy(update={"input": text})


def _since(began: float, context: StepContext) -> int:
    return int((context.clock.monotonic() - began) * 1_000)


async def _answer(agent: Agent, text: str, run: Run) -> Any:  # noqa: ANN401 - an agent answers with what it likes
    try:
        return await agent.answer(text, run)
    except (asyncio.CancelledError, GeneratorExit):
        raise
    except BaseException as error:  # an exit or a native library's panic must end the run, not the worker
        if any(isinstance(each, HeadraceError) for each in chain_of(error)):
            raise  # its class, or that of the error it wraps, decides
        message = f"the agent {agent.name!r} raised {type(error).__name__}"
        raise InternalError(message, detail=repr(error)) from error


def _result(screened: Screened, run: Run, output: Any, agent_ms: int) -> Result:  # noqa: ANN401 - JSON
    authorized = screened.authorized
    return Result(
        request_id=run.request_id,
        run_id=run.run_id,
        agent=run.agent,
        status="succeeded",
        output=output,
        usage=run.usage,
        timing=Timing(
            queued_ms=authorized.queued_ms,
            auth_ms=authorized.auth_ms,
            guard_ms=screened.guard_ms,
            agent_ms=agent_ms,
        ),
        verdicts=tuple([verdict_info(each.guard, each.action) for each in screened.verdicts]),
    )
