"""The ruling on one content by one guard: its result or its failure, under its policy."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import Literal, NamedTuple

from consumers.context import StepContext
from consumers.guard.content import Content
from consumers.guard.guard_contract import NOTE_LIMIT, GuardContractError, check
from consumers.guard.guard_time import GUARD_TIME, GuardTime
from consumers.guard.guards import Action, GuardResult, GuardSpec
from consumers.guard.text_tasks import EVIDENCE_LIMIT
from consumers.resilience.cancel_count import cancel_count
from consumers.resilience.timeouts import lazy_timeout
from schemas.errors import GuardUnavailableError, TooLargeError
from schemas.stage_records import Verdict


class Ruling(NamedTuple):
    """The verdict of a guard, and the content as it passes it on."""

    verdict: Verdict
    content: Content
    unavailable: tuple[str, ...] = ()
    """The guard's name if it blocks only because it did not judge in time."""

    shadow: Action | Literal[""] = ""
    """The action that a guard in shadow mode would have taken."""


async def rule(spec: GuardSpec, content: Content, context: StepContext) -> Ruling:
    """Run one guard within its time limit. Every failure inside it becomes a verdict."""
    before = cancel_count()
    guard_time = GuardTime(spec.policy.timeout)
    token = GUARD_TIME.set(guard_time)
    try:
        result = await lazy_timeout(lambda: guard_time, spec.guard(content, context))
        return _ruling(spec, content, check(result, content, rewrites=spec.rewrites))
    except asyncio.CancelledError as error:
        if cancel_count() > before:
            raise
        return failure(spec, content, error)  # something inside the guard was cancelled, not the run
    except TooLargeError:
        raise  # a property of the content, not a failure of the guard
    except Exception as error:  # noqa: BLE001 - guards are plug-ins: the policy decides what their failure means
        return failure(spec, content, error)
    finally:
        GUARD_TIME.reset(token)


def _ruling(spec: GuardSpec, content: Content, result: GuardResult) -> Ruling:
    verdict = _verdict(spec.name, result)
    if spec.policy.shadow:
        return Ruling(_shadowed(verdict), content, shadow=verdict.action)
    if result.text is None:
        return Ruling(verdict, content)
    return Ruling(verdict, content.rewritten(result.text, result.hidden, result.placeholders))


def _verdict(guard: str, result: GuardResult) -> Verdict:
    if not (result.score or result.evidence or result.note):
        return _bare(guard, result.action)
    return Verdict(
        guard=guard,
        action=result.action,
        score=result.score,
        evidence=result.evidence[:EVIDENCE_LIMIT],
        note=result.note[:NOTE_LIMIT],
    )


@lru_cache(maxsize=1_024)  # the verdict of most guards on most texts
def _bare(guard: str, action: Action) -> Verdict:
    return Verdict(guard=guard, action=action)


def failure(spec: GuardSpec, content: Content, error: BaseException) -> Ruling:
    """Return the ruling of a guard that failed with *error*."""
    action: Action = "block" if spec.policy.failure == "closed" else "flag"
    verdict = Verdict(guard=spec.name, action=action, note=f"failed: {_reason(error)}"[:NOTE_LIMIT])
    if spec.policy.shadow:
        return Ruling(_shadowed(verdict), content, shadow=action)
    late = action == "block" and isinstance(error, TimeoutError | GuardUnavailableError)
    return Ruling(verdict, content, (spec.name,) if late else ())


def _reason(error: BaseException) -> str:
    """Return the class of the error: its message may quote the content. Those of the contract do not."""
    return str(error) if isinstance(error, GuardContractError) else type(error).__name__


def _shadowed(verdict: Verdict) -> Verdict:
    if verdict.action == "pass" and not verdict.note:
        return verdict
    note = f"shadow {verdict.action}: {verdict.note}".removesuffix(": ")
    return verdict.model_copy(update={"action": "pass", "note": note[:NOTE_LIMIT]})
