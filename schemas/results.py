"""The terminal result of a request: exactly one for each accepted request."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

from pydantic import Field

from schemas.errors import Status
from schemas.guards import GuardStage
from schemas.models import Payload

RESULT_TYPE = "headrace.result.v1"


class ErrorInfo(Payload):
    """The error of a request that did not succeed. The message is safe to show to a user."""

    code: str
    message: str
    retryable: bool = False
    retry_after: float | None = None
    """Seconds to wait before a retry."""


class Usage(Payload):
    """Tokens, calls and cost of the run."""

    input_tokens: Annotated[int, Field(ge=0)] = 0
    output_tokens: Annotated[int, Field(ge=0)] = 0
    model_calls: Annotated[int, Field(ge=0)] = 0
    tool_calls: Annotated[int, Field(ge=0)] = 0
    cost_usd: Annotated[float, Field(ge=0)] = 0.0


class Timing(Payload):
    """Time spent in the queue and in each part of the journey, in milliseconds."""

    queued_ms: Annotated[int, Field(ge=0)] = 0
    auth_ms: Annotated[int, Field(ge=0)] = 0
    guard_ms: Annotated[int, Field(ge=0)] = 0
    agent_ms: Annotated[int, Field(ge=0)] = 0


class VerdictInfo(Payload):
    """The action of one guard, without the content."""

    guard: str
    action: str
    stage: GuardStage = "input"
    """``input`` also for tool results and memory; ``tool`` for the arguments of tools; ``output`` for answers."""


@lru_cache(maxsize=1_024)
def verdict_info(guard: str, action: str, stage: GuardStage = "input") -> VerdictInfo:
    """Return a cached value, because guards are few and their actions repeat."""
    return VerdictInfo(guard=guard, action=action, stage=stage)


class Result(Payload):
    """The terminal result of one request."""

    request_id: str
    run_id: str
    agent: str
    status: Status
    output: Any = None
    error: ErrorInfo | None = None
    degraded: str | None = None
    usage: Usage = Usage()
    timing: Timing = Timing()
    handoffs: tuple[str, ...] = ()
    verdicts: tuple[VerdictInfo, ...] = ()
