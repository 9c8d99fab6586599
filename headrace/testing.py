"""Run agents in unit tests, with a scripted model and without Kafka, Valkey or a network beyond loopback.

::

    from headrace.testing import call, run_agent


    async def test_the_weather_is_told():
        result = await run_agent(support, "Oslo?", script=[call("get_weather", city="Oslo"), "Rain, take a coat."])

        assert result.output == "Rain, take a coat."
        assert len(result.calls) == 2

Without pytest's async support: ``asyncio.run(run_agent(...))``.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from consumers.agent.agents import Agent
from consumers.agent.budget.local_budget import local_budget
from consumers.agent.executor import Executor
from consumers.agent.journal.memory import MemoryJournal
from consumers.agent.memory.session_local import LocalSessionMemory
from consumers.agent.models.openai_model import OpenAISettings, thin_model
from consumers.agent.models.port import Model
from consumers.agent.references import resolved
from consumers.agent.registry import AgentRegistry
from consumers.agent.services import AgentServices
from consumers.context import StepContext
from consumers.guard.conformance import GuardConformanceError, check_guard
from consumers.resilience.retry import Retry
from ops.agent_plugins import installed_plugins, used_plugins
from ops.embedded.scenario import ANY_TOOLS, Scenario
from ops.embedded.scenario_file import read_scenario
from ops.embedded.scripted import MODEL, ScriptedModel, scripted_model
from ops.embedded.scripts import ChatBody, Matcher, ScriptedAnswer, ScriptedError, ScriptedToolCall
from producers.results import error_of
from schemas.admissions import AdmissionKey, Identity, request_key
from schemas.clock import Clock, SystemClock
from schemas.errors import HeadraceError, InternalError, resolve_error
from schemas.requests import Request
from schemas.results import Result
from schemas.stage_records import Authorized, Origin, Screened
from schemas.tenants import Tenant

__all__ = [
    "GuardConformanceError",
    "ScriptedAnswer",
    "ScriptedResult",
    "ScriptedToolCall",
    "ScriptedWorker",
    "UnscriptedCallError",
    "call",
    "check_guard",
    "run_agent",
    "scripted_worker",
]

DEADLINE_S = 30.0
CONNECTIONS = 100

ScriptStep: TypeAlias = str | ScriptedToolCall | Sequence[ScriptedToolCall] | ScriptedAnswer
"""One answer of the model: a text, a tool call, several at once, or all fields of an answer, such as a failure."""

ScriptOf: TypeAlias = Sequence[ScriptStep] | Scenario | Path
"""Answers in order; or a scenario, as a value or as a file (``ops.embedded.scenario``)."""


class UnscriptedCallError(AssertionError):
    """The agent asked the model once more than the script has answers."""


class ScriptedResult(Result):
    """The result of a run with a scripted model."""

    calls: tuple[dict[str, Any], ...] = ()
    """The bodies of the run's requests to the model, oldest first, as sent to an OpenAI-compatible provider."""


def call(name: str, /, **arguments: Any) -> ScriptedToolCall:  # noqa: ANN401 - any JSON
    """Return the model's call of a tool with these arguments."""
    return ScriptedToolCall(name=name, arguments=json.dumps(arguments))


@dataclass(frozen=True, slots=True)
class ScriptedWorker:
    """A worker in this process: it keeps its journals and memories from one run to the next."""

    agents: AgentRegistry
    server: ScriptedModel
    execute: Executor
    tenant: Tenant
    clock: Clock
    unscripted: list[ChatBody]
    """The requests that the script has no answer for."""

    async def run(
        self,
        agent: str,
        text: str,
        *,
        subject: str = "user",
        session: str | None = None,
        metadata: Mapping[str, str] | None = None,
        deadline: float = DEADLINE_S,
        request_id: str | None = None,
    ) -> ScriptedResult:
        """Run the agent once, and return the result that a client would get. *deadline* is in seconds from now.

        Raises UnscriptedCallError; InternalError if the agent raised an exception, which is then its cause.
        """
        request = Request(agent=agent, input=text, session=session, metadata=dict(metadata or {}))
        identity = Identity(
            tenant=self.tenant.id, issuer="test", subject=subject, source="/", id=request_id or uuid.uuid4().hex
        )
        before = self.server.calls.number
        result = await self._result(_screened(request, identity, self.clock.now_ms() + int(deadline * 1_000)))
        if self.unscripted:
            raise UnscriptedCallError(_asked_too_much(self.server.calls.number - before, self.unscripted[0]))
        return ScriptedResult(**dict(result), calls=tuple(self.server.calls.bodies[before:]))

    async def _result(self, screened: Screened) -> Result:
        context = StepContext(tenant=self.tenant, clock=self.clock)
        try:
            return await self.execute(screened, context)
        except Exception as error:  # as the engine does: an agent's own exception may wrap one of ours
            resolved = resolve_error(error)
            if isinstance(resolved, InternalError) and not self.unscripted:
                raise
            return _failed(screened, context, resolved)


@asynccontextmanager
async def scripted_worker(
    *agents: Agent, script: ScriptOf | None = None, tenant: str | Tenant = "test"
) -> AsyncGenerator[ScriptedWorker]:
    """Open a worker for several runs, such as those of one session. The runs share the script.

    Without a script, the model calls each tool that the text names, as ``headrace dev --scripted`` does.
    """
    clock, unscripted = SystemClock(), list[ChatBody]()
    registry = resolved(AgentRegistry(agents), installed_plugins())
    owner = tenant if isinstance(tenant, Tenant) else Tenant(id=tenant, agents=registry.names)
    async with scripted_model() as server, thin_model(_settings(server), clock) as model:
        _play(server, script, unscripted)
        yield ScriptedWorker(registry, server, _executor(registry, model, clock), owner, clock, unscripted)


async def run_agent(  # noqa: PLR0913 - the options of a run
    agent: Agent,
    text: str,
    *,
    script: ScriptOf | None = None,
    agents: Iterable[Agent] = (),
    tenant: str | Tenant = "test",
    subject: str = "user",
    session: str | None = None,
    metadata: Mapping[str, str] | None = None,
    deadline: float = DEADLINE_S,
) -> ScriptedResult:
    """Run the agent once with a scripted model, as a worker of its own. *agents* are those that it may hand off to.

    Raises as ``ScriptedWorker.run`` does; other errors are in the result, as a client sees them.
    """
    async with scripted_worker(agent, *agents, script=script, tenant=tenant) as worker:
        return await worker.run(
            agent.name, text, subject=subject, session=session, metadata=metadata, deadline=deadline
        )


def _settings(server: ScriptedModel) -> OpenAISettings:
    return OpenAISettings(base_url=server.base_url, name=MODEL, connections=CONNECTIONS)


def _executor(agents: AgentRegistry, model: Model, clock: Clock) -> Executor:
    """Return an executor with stores in memory. All agents ask the scripted model, and retries do not wait."""
    plugins = used_plugins(agents, installed_plugins())
    return Executor(
        AgentServices(
            agents=agents,
            models=dict.fromkeys((agent.model for agent in agents.values()), model),
            planners=plugins.planners,
            middleware=plugins.middleware,
            journal=MemoryJournal(clock),
            memory=LocalSessionMemory(clock=clock),
            budget=local_budget(clock),
            retry=Retry(wait_first=0.0),
        )
    )


def _play(server: ScriptedModel, script: ScriptOf | None, unscripted: list[ChatBody]) -> None:
    match script:
        case None:
            server.script.scenario = ANY_TOOLS
        case Scenario():
            server.script.scenario = script
        case Path():
            server.script.scenario = read_scenario(script)
        case _:
            server.script.add(*map(_answer, script))
            server.script.scenario = _refuse_into(unscripted)


def _answer(step: ScriptStep) -> ScriptedAnswer:
    match step:
        case str():
            return ScriptedAnswer(text=step)
        case ScriptedToolCall():
            return ScriptedAnswer(tool_calls=(step,))
        case ScriptedAnswer():
            return step
        case _:
            return ScriptedAnswer(tool_calls=tuple(step))


def _refuse_into(unscripted: list[ChatBody]) -> Matcher:
    def refuse(body: ChatBody) -> ScriptedAnswer:
        unscripted.append(body)
        return ScriptedAnswer(status=400, error=ScriptedError(message="the script has no answer"))

    return refuse


def _asked_too_much(number: int, body: ChatBody) -> str:
    last = body["messages"][-1]
    return f"call {number} of the model has no answer in the script; its last message: {json.dumps(last)[:500]}"


def _screened(request: Request, identity: Identity, deadline_ms: int) -> Screened:
    """Return the request as the guards pass it on."""
    admission = AdmissionKey(
        key=request_key(identity),
        body="",
        lane=request.session or identity.id,
        request_id=identity.id,
        deadline_ms=deadline_ms,
        agent=request.agent,
        subject=identity.subject,
    )
    authorized = Authorized(
        request=request,
        identity=identity,
        run_id=identity.digest,
        admission=admission,
        origin=Origin(topic="test", partition=0, offset=0, timestamp_ms=0),
        reply_to="test",
    )
    return Screened(authorized=authorized, text=request.text)


def _failed(screened: Screened, context: StepContext, error: HeadraceError) -> Result:
    authorized = screened.authorized
    return Result(
        request_id=authorized.request_id,
        run_id=authorized.run_id,
        agent=authorized.request.agent,
        status=error.status,
        error=error_of(error),
        usage=context.spending.usage,
    )
