"""The step that runs an agent: it turns a screened request into a succeeded or cancelled result, or an error."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from consumers.agent.active_agent import ActiveAgent, ActiveAgentEngine, first_place
from consumers.agent.agents import Agent
from consumers.agent.answer_guard import AnswerGuard
from consumers.agent.contained import contained
from consumers.agent.journal.port import RunKey
from consumers.agent.journal.steps import JournaledSteps, NoSteps, RunSteps
from consumers.agent.loop import respond
from consumers.agent.output import as_json
from consumers.agent.placeholder_steps import keep_recorded, take_request
from consumers.agent.run import Run
from consumers.agent.run_state import RunState
from consumers.agent.services import AgentServices
from consumers.agent.session_step import recall, remember
from consumers.context import StepContext
from consumers.resilience.cancel import Cancels
from consumers.resilience.deadline import Deadline
from consumers.resilience.thread_pool import ThreadPool
from consumers.resilience.timeouts import lazy_timeout
from schemas.clock import SystemClock
from schemas.errors import CancelledRunError, InternalError, UnknownAgentError
from schemas.headers import TRACEPARENT, Headers
from schemas.requests import Request
from schemas.results import ErrorInfo, Result, Timing, verdict_info
from schemas.stage_records import Screened

JOURNAL_KEPT_MS = 3 * 24 * 3_600_000
"""Milliseconds for which a journal is kept after the deadline: a dead letter may be replayed until then."""


@dataclass(frozen=True, slots=True)
class Executor:
    """Runs the agent that the request names."""

    services: AgentServices
    cancels: Cancels = field(default_factory=lambda: Cancels(SystemClock()))

    async def __call__(self, screened: Screened, context: StepContext) -> Result:
        """Return the agent's answer; for a cancelled run, a ``cancelled`` result with its usage so far.

        Raises UnknownAgentError; ExpiredError when the deadline passes, before or during the run, also if the agent
        answers after it; InternalError for an exception of the agent, unless it is or wraps a HeadraceError.
        """
        agent, engine = self._agent(screened), ActiveAgentEngine()
        run = _run(screened, context, self.services.threads, engine)
        run.deadline.check()
        began, scope = context.clock.monotonic(), partial(self.cancels.scope, run.run_id, run.deadline)
        state = self._state(agent, context, began)
        try:
            self.cancels.check(run.run_id)
            output = await lazy_timeout(scope, self._contained(first_place(state, agent, run, engine), screened))
            run.deadline.check()  # an answer that blocked the loop until now is late as well
        except CancelledRunError as error:
            ended = {"status": "cancelled", "error": ErrorInfo(code=error.code, message=error.public_message)}
            return _result(screened, run, None, state).model_copy(update=ended)
        return _result(screened, run, output, state)

    def _agent(self, screened: Screened) -> Agent:
        name = screened.authorized.request.agent
        if name not in self.services.agents:
            raise UnknownAgentError(f"no agent named {name!r} is deployed")
        return self.services.agents[name]

    def _state(self, agent: Agent, context: StepContext, began: float) -> RunState:
        return RunState(
            services=self.services,
            context=context,
            steps=NoSteps(context),
            recorded=agent.keeps_journal,
            limits=agent.limits,
            began=began,
            respond=respond,
        )

    def _contained(self, active: ActiveAgent, screened: Screened) -> Awaitable[Any]:
        return contained(f"the agent {active.agent.name!r}", self._answer(active, screened))

    async def _answer(self, active: ActiveAgent, screened: Screened) -> Any:  # noqa: ANN401 - JSON
        agent, run, state = active.agent, active.run, active.state
        if agent.keeps_journal:
            run.spending.resume(screened.usage)  # what a killed process of this attempt has told counts by its journal
            state.steps = await self._steps(run, state.context)
            keep_recorded(state)
            await recall(state, agent, run)
        active = active.asked(take_request(state, screened))
        answer = await active.answer(active.run.request.text)
        output = await AnswerGuard(state, agent, run)(as_json(answer, agent.name))
        await remember(state, active.run, output)
        return state.placeholders.restored_for_user(output)

    async def _steps(self, run: Run, context: StepContext) -> JournaledSteps:
        """Return the steps that the run has in its journal."""
        if self.services.journal is None:
            raise InternalError(f"the agent {run.agent!r} has tools or memory, and this worker has no journal")
        key, expires_ms = RunKey(run.tenant.id, run.run_id), run.deadline_ms + JOURNAL_KEPT_MS
        return await RunSteps.open(
            self.services.journal, key, context, attempt=run.attempt, deadline=run.deadline, expires_ms=expires_ms
        )


def _run(screened: Screened, context: StepContext, threads: ThreadPool, engine: ActiveAgentEngine) -> Run:
    authorized = screened.authorized
    return Run(
        agent=authorized.request.agent,
        tenant=context.tenant,
        request=_asking(authorized.request, screened.text),
        request_id=authorized.request_id,
        run_id=authorized.run_id,
        subject=authorized.identity.subject,
        issuer=authorized.identity.issuer,
        attempt=screened.attempt,
        deadline=Deadline(authorized.deadline_ms, context.clock),
        engine=engine,
        threads=threads,
        spending=context.spending,
        traceparent=Headers(context.trace).text(TRACEPARENT),
    )


def _asking(request: Request, text: str) -> Request:
    """Return the request with the text that the guards passed."""
    return request.model_copy(update={"input": text})


def _result(screened: Screened, run: Run, output: Any, state: RunState) -> Result:  # noqa: ANN401 - JSON
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
            agent_ms=int((state.context.clock.monotonic() - state.began) * 1_000),
        ),
        handoffs=tuple(state.handoffs),
        verdicts=(
            *[verdict_info(each.guard, each.action) for each in screened.verdicts],
            *state.verdicts,
        ),
    )
