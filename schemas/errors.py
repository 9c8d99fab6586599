"""The errors of the platform. The class of an error decides its code, its status and its retries.

::

HeadraceError
├── RecordError                 the record cannot be used: dead letter, failed result if the id can be read
│   ├── MalformedError              malformed
│   ├── TooLargeError               too_large
│   └── UnsupportedVersionError     unsupported_version
├── RefusedError                the platform refuses the request: refused result, never retried
│   ├── UnauthenticatedError        unauthenticated
│   ├── ForbiddenError              forbidden
│   ├── IdConflictError             id_conflict
│   ├── UnknownAgentError           unknown_agent
│   ├── BlockedError                blocked
│   ├── RateLimitedError            rate_limited           retryable
│   ├── BudgetExhaustedError        budget_exhausted
│   └── TenantRemovedError          tenant_removed
├── ExpiredError                expired                the deadline has passed: expired result
├── CancelledRunError           cancelled              a client cancelled the run: cancelled result
├── GuardUnavailableError       guard_unavailable      retryable
├── BudgetUnavailableError      budget_unavailable     retryable
├── ModelError
│   ├── ModelOverloadedError        model_overloaded       retryable
│   ├── ModelTimeoutError           model_timeout          retryable
│   ├── ModelUnavailableError       model_unavailable      retryable
│   ├── ModelUnreadableError        model_unreadable       once more in the same attempt
│   ├── ModelRejectedError          model_rejected
│   ├── ModelQuotaError             model_quota
│   └── ContextOverflowError        context_overflow
├── ToolError
│   ├── ToolFailedError             tool_failed            the tool decides
│   ├── ToolTimeoutError            tool_timeout           retryable
│   └── ToolDeniedError             tool_denied
├── RunError                    the executor stopped the run
│   ├── StepsExhaustedError         steps_exhausted
│   ├── LoopDetectedError           loop_detected
│   ├── HandoffCycleError           handoff_cycle
│   └── ToolOutcomeUnknownError     tool_outcome_unknown
├── JournalUnavailableError     journal_unavailable    retryable
├── JournalLostError            journal_lost           retryable
├── RunSupersededError          run_superseded         retryable
├── MemoryUnavailableError      memory_unavailable     retryable
├── UnwritableError             unwritable             no topic accepts the output
├── PoisonError                 poison                 the record killed its worker
└── InternalError               internal               any unknown error; never retryable

A wrapped error keeps its own code and status. ``resolve_error`` follows ``__cause__`` and the members of exception
groups. It prefers a permanent error to a retryable error that wraps it.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, Literal, TypeAlias

Status: TypeAlias = Literal["succeeded", "failed", "refused", "expired", "cancelled"]

PUBLIC_MESSAGE_LIMIT = 1024
"""Longest public message, in characters."""

LONGEST_WAIT_S = 30 * 86_400.0
"""The longest wait that an error can ask for, in seconds: far above the deadline of any request."""


class HeadraceError(Exception):
    """The base class.

    ``public_message`` is the public message; ``detail`` is for logs only. ``retry_after`` is in seconds.
    """

    code: ClassVar[str] = "internal"
    status: ClassVar[Status] = "failed"
    retryable: bool = False
    calls: ClassVar[int] = 1
    """Calls that may end with this error in one attempt at a run, if it is not retryable."""
    dead_letters: ClassVar[bool] = True
    """True if the record is also dead-lettered."""
    platform_fault: bool = False
    """True if only the platform can have caused the error. Then its dead letter does not count against the tenant.
    An error of a step is never one: a tenant's content may cause any error of an agent or a guard, on purpose."""
    public_message: str
    detail: str
    retry_after: float | None

    def __init__(self, public_message: str = "", *, detail: str = "", retry_after: float | None = None) -> None:
        self.public_message = public_message[:PUBLIC_MESSAGE_LIMIT] or _sentence(type(self))
        self.detail = detail
        self.retry_after = retry_after
        super().__init__(self.public_message)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the state of the error, because the default would lose keyword-only arguments."""
        return _revive, (type(self), self.public_message, dict(self.__dict__))


def _sentence(kind: type[HeadraceError]) -> str:
    return (kind.__doc__ or kind.code).split(".", 1)[0].split("\n", 1)[0]


def _revive(kind: type[HeadraceError], public_message: str, state: dict[str, Any]) -> HeadraceError:
    error = kind(public_message)
    error.__dict__.update(state)
    return error


class RecordError(HeadraceError):
    """The record cannot be used."""

    code = "malformed"


class MalformedError(RecordError):
    """The record cannot be read."""

    code = "malformed"


class TooLargeError(RecordError):
    """The record exceeds a limit."""

    code = "too_large"


class UnsupportedVersionError(RecordError):
    """The record has an unsupported version."""

    code = "unsupported_version"


class RefusedError(HeadraceError):
    """The request was refused."""

    code = "forbidden"
    status = "refused"
    dead_letters = False


class UnauthenticatedError(RefusedError):
    """The caller could not be identified."""

    code = "unauthenticated"


class ForbiddenError(RefusedError):
    """The caller may not do this."""

    code = "forbidden"


class IdConflictError(RefusedError):
    """A different request has already used this id."""

    code = "id_conflict"


class UnknownAgentError(RefusedError):
    """No agent of this name is deployed."""

    code = "unknown_agent"


class BlockedError(RefusedError):
    """A guard blocked the content."""

    code = "blocked"


class RateLimitedError(RefusedError):
    """The request has waited for the longest time that its limits allow."""

    code = "rate_limited"
    retryable = True


class BudgetExhaustedError(RefusedError):
    """The budget is spent."""

    code = "budget_exhausted"


class TenantRemovedError(RefusedError):
    """The tenant was removed, so the platform accepts no requests of it."""

    code = "tenant_removed"


class ExpiredError(HeadraceError):
    """The deadline has passed."""

    code = "expired"
    status = "expired"
    dead_letters = False


class CancelledRunError(HeadraceError):
    """The run was cancelled."""

    code = "cancelled"
    status = "cancelled"
    dead_letters = False


class GuardUnavailableError(HeadraceError):
    """A guard could not judge the content in time."""

    code = "guard_unavailable"
    retryable = True
    dead_letters = False
    platform_fault = True


class BudgetUnavailableError(HeadraceError):
    """The counts of the budget cannot be read now, so no call is made."""

    code = "budget_unavailable"
    retryable = True
    dead_letters = False
    platform_fault = True


class ModelError(HeadraceError):
    """The model could not answer."""

    code = "model_rejected"
    uncharged: bool = False
    """True if the provider surely charged nothing: it refused the call, or the call did not reach it."""


class ModelOverloadedError(ModelError):
    """The provider is overloaded; it may name a time for the retry."""

    code = "model_overloaded"
    uncharged = True
    retryable = True


class ModelTimeoutError(ModelError):
    """The model did not answer in time."""

    code = "model_timeout"
    retryable = True


class ModelUnavailableError(ModelError):
    """The model cannot be reached."""

    code = "model_unavailable"
    retryable = True


class ModelUnreadableError(ModelError):
    """The model's answer cannot be used. It was paid for, so it is asked for once more and not again.

    ``input_tokens`` and the fields beside it are the usage that the answer states.
    """

    code = "model_unreadable"
    calls = 2

    def __init__(
        self,
        public_message: str = "",
        *,
        detail: str = "",
        retry_after: float | None = None,
        input_tokens: int = 0,
        output_tokens: int = 0,
        cached_input_tokens: int = 0,
    ) -> None:
        super().__init__(public_message, detail=detail, retry_after=retry_after)
        self.input_tokens = input_tokens
        self.output_tokens = output_tokens
        self.cached_input_tokens = cached_input_tokens
        self.model = ""
        self.cost_pico = 0


class ModelRejectedError(ModelError):
    """The provider rejected the request."""

    code = "model_rejected"
    uncharged = True


class ModelQuotaError(ModelError):
    """The provider's quota is spent."""

    code = "model_quota"
    uncharged = True


class ContextOverflowError(ModelError):
    """The conversation is longer than the model's context."""

    code = "context_overflow"
    uncharged = True


class ToolError(HeadraceError):
    """A tool call did not succeed."""

    code = "tool_failed"


class ToolFailedError(ToolError):
    """The tool failed; the tool decides if a retry is useful."""

    code = "tool_failed"

    def __init__(
        self, public_message: str = "", *, detail: str = "", retry_after: float | None = None, retryable: bool = False
    ) -> None:
        super().__init__(public_message, detail=detail, retry_after=retry_after)
        self.retryable = retryable


class ToolTimeoutError(ToolError):
    """The tool did not answer in time."""

    code = "tool_timeout"
    retryable = True


class ToolDeniedError(ToolError):
    """The run may not use this tool."""

    code = "tool_denied"


class RunError(HeadraceError):
    """The run cannot continue."""

    code = "steps_exhausted"
    dead_letters = False


class StepsExhaustedError(RunError):
    """The run has used all of its allowed steps."""

    code = "steps_exhausted"


class LoopDetectedError(RunError):
    """The run repeated itself."""

    code = "loop_detected"


class HandoffCycleError(RunError):
    """The agents handed the run over in a cycle."""

    code = "handoff_cycle"


class ToolOutcomeUnknownError(RunError):
    """A tool call has started, and its outcome is unknown."""

    code = "tool_outcome_unknown"


class JournalUnavailableError(HeadraceError):
    """The run's journal cannot be read or written."""

    code = "journal_unavailable"
    retryable = True
    platform_fault = True


class JournalLostError(HeadraceError):
    """The store has lost steps of the run's journal."""

    code = "journal_lost"
    retryable = True
    platform_fault = True


class RunSupersededError(HeadraceError):
    """Another worker has taken the run."""

    code = "run_superseded"
    retryable = True
    dead_letters = False
    platform_fault = True


class MemoryUnavailableError(HeadraceError):
    """The memory cannot be read or written."""

    code = "memory_unavailable"
    retryable = True
    platform_fault = True


class UnwritableError(HeadraceError):
    """No topic accepts the output."""

    code = "unwritable"


class PoisonError(HeadraceError):
    """The record killed its worker."""

    code = "poison"


class InternalError(HeadraceError):
    """An unexpected error occurred inside the platform."""

    code = "internal"
    platform_fault = True


def _leaves(kind: type[HeadraceError]) -> list[type[HeadraceError]]:
    below = [leaf for child in kind.__subclasses__() for leaf in _leaves(child)]
    return below or [kind]


BY_CODE: dict[str, type[HeadraceError]] = {kind.code: kind for kind in _leaves(HeadraceError)}
"""The error class of each code."""


def chain_of(error: BaseException) -> list[BaseException]:
    """Return the error and all errors it wraps (causes and group members), outermost first. Cycles end the search."""
    chain: list[BaseException] = []
    waiting = [error]
    while waiting:
        here = waiting.pop(0)
        if not any(here is each for each in chain):
            chain.append(here)
            waiting += _wrapped(here)
    return chain


def _wrapped(error: BaseException) -> list[BaseException]:
    cause = [] if error.__cause__ is None else [error.__cause__]
    return cause + (list(error.exceptions) if isinstance(error, BaseExceptionGroup) else [])


def seconds_of(retry_after: object) -> float | None:
    """Return the wait that an error asks for, in finite seconds above zero; None for any other value.

    Agents and tools raise errors too, so the value may have any type.
    """
    if isinstance(retry_after, bool) or not isinstance(retry_after, int | float):
        return None
    return min(float(retry_after), LONGEST_WAIT_S) if 0 < retry_after < math.inf else None


def resolve_error(error: BaseException) -> HeadraceError:
    """Return the innermost permanent HeadraceError, else the innermost HeadraceError, else a new InternalError."""
    ours = [each for each in chain_of(error) if isinstance(each, HeadraceError)]
    if not ours:
        unknown = InternalError(detail=repr(error))
        unknown.__cause__ = error
        return unknown

    permanent = [each for each in ours if not each.retryable]
    return (permanent or ours)[-1]
