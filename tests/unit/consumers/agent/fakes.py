"""A clock that stands still, a model that is told what to say, and the values that a run is made of."""

from __future__ import annotations

from dataclasses import dataclass, field

from consumers.agent.active_agent import ActiveAgentEngine, place
from consumers.agent.agents import DEFAULT_LIMITS, Agent
from consumers.agent.journal.steps import NoSteps
from consumers.agent.loop import respond
from consumers.agent.models.port import Model, ModelRequest, ModelResponse, ModelUsage
from consumers.agent.registry import AgentRegistry
from consumers.agent.run import Run
from consumers.agent.run_state import RunState
from consumers.agent.services import AgentServices
from consumers.context import StepContext
from consumers.resilience.deadline import Deadline
from consumers.resilience.retry import Retry
from consumers.spans import NoSpans
from schemas.admissions import AdmissionKey, Identity
from schemas.records import HeaderList
from schemas.requests import Request
from schemas.stage_records import Authorized, Origin, Screened
from schemas.tenants import Tenant

NOW_MS = 1_700_000_000_000
TENANT = Tenant(id="acme", agents=("assistant", "echo"))
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@dataclass
class StillClock:
    """Moves when it is told to."""

    at_ms: int = NOW_MS
    seconds: float = 100.0

    def now_ms(self) -> int:
        return self.at_ms

    def monotonic(self) -> float:
        return self.seconds

    def pass_by(self, seconds: float) -> None:
        self.at_ms += int(seconds * 1_000)
        self.seconds += seconds


@dataclass
class ToldModel:
    """Says what it is told, call by call; the last line again when it runs out of them."""

    lines: list[str | Exception] = field(default_factory=lambda: ["said"])
    asked: list[ModelRequest] = field(default_factory=list)

    async def complete(self, request: ModelRequest) -> ModelResponse:
        self.asked.append(request)
        line = self.lines.pop(0) if len(self.lines) > 1 else self.lines[0]
        if isinstance(line, Exception):
            raise line
        return ModelResponse(line, usage=ModelUsage(input_tokens=7, output_tokens=3))


def at_once() -> Retry:
    """Retries that do not wait."""
    return Retry(wait_first=0.0)


def run_of(
    *,
    model: Model | None = None,
    instructions: str = "",
    attempt: int = 1,
    metadata: dict[str, str] | None = None,
    clock: StillClock | None = None,
    left: float = 30.0,
) -> Run:
    """A run of agent ``shout`` with ``left`` seconds to its deadline."""
    clock = clock or StillClock()
    agent = Agent("shout", instructions=instructions)
    services = AgentServices(agents=AgentRegistry([agent]), models={"default": model or ToldModel()}, retry=at_once())
    run = Run(
        agent="shout",
        tenant=TENANT,
        request=Request(agent="shout", input="hello", session="s-1", metadata=metadata or {}),
        request_id="r-1",
        run_id="run-1",
        attempt=attempt,
        deadline=Deadline(clock.now_ms() + int(left * 1_000), clock),
        engine=ActiveAgentEngine(),
        traceparent=TRACEPARENT,
    )
    context = StepContext(tenant=TENANT, clock=clock, spans=NoSpans(TRACEPARENT))
    state = state_of(services, context)
    return place(state, agent, run, state.read).run


def state_of(services: AgentServices, context: StepContext) -> RunState:
    """The state of a run without a journal."""
    return RunState(
        services, context, NoSteps(context), recorded=False, limits=DEFAULT_LIMITS, began=0, respond=respond
    )


def screened_of(request: Request, *, text: str = "screened", left: float = 30.0, attempt: int = 1) -> Screened:
    """A request behind the guards, ``left`` seconds before its deadline."""
    identity = Identity(tenant=TENANT.id, issuer="topic", subject=TENANT.id, source="/", id="r-1")
    admission = AdmissionKey(key="k", body="b", lane="l", request_id="r-1", deadline_ms=NOW_MS + int(left * 1_000))
    authorized = Authorized(
        request=request,
        identity=identity,
        run_id=identity.digest,
        admission=admission,
        origin=Origin(topic="t", partition=0, offset=1, timestamp_ms=NOW_MS),
        reply_to="r",
        queued_ms=11,
        auth_ms=12,
    )
    return Screened(authorized=authorized, text=text, guard_ms=13, attempt=attempt)


def context_of(clock: StillClock | None = None, trace: HeaderList = ()) -> StepContext:
    """The context of a step behind the door."""
    return StepContext(tenant=TENANT, clock=clock or StillClock(), trace=trace)
