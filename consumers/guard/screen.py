"""The guard step: it passes a request on with the text that the model may read, or refuses it."""

from __future__ import annotations

from dataclasses import dataclass

from consumers.context import StepContext
from consumers.guard.content import Content
from consumers.guard.pipeline import PipelineOf, PipelineResult
from schemas.errors import BlockedError, GuardUnavailableError, HeadraceError
from schemas.stage_records import Authorized, Screened, Verdict


@dataclass(frozen=True, slots=True)
class Screen:
    """Passes a request on, rewritten if need be, unless a guard blocks it."""

    guards: PipelineOf
    reviews: bool = False
    """True if a later stage asks a person about a request with a "review" verdict. If not, it is refused here."""

    async def __call__(self, authorized: Authorized, context: StepContext) -> Screened:
        """Return the request as the model may read it.

        Raise BlockedError, which names the guard that refused, or GuardUnavailableError if a guard could not judge.
        """
        started = context.clock.monotonic()
        guards = await self.guards(context.tenant)
        outcome = await guards.input(Content(authorized.request.text), context)
        if refusal := self._refusal(outcome):
            raise refusal

        return Screened(
            authorized=authorized.without_input(),
            text=outcome.content.text,
            verdicts=outcome.verdicts,
            placeholders=dict(outcome.content.placeholders),
            tainted=outcome.content.tainted,
            guard_ms=round((context.clock.monotonic() - started) * 1_000),
            screened_at_ms=context.clock.now_ms(),
        )

    def _refusal(self, outcome: PipelineResult) -> HeadraceError | None:
        if blocking := outcome.refusal():
            return _blocked(blocking, "blocked the request")
        if not self.reviews and (doubting := outcome.by("review")):
            return _blocked(doubting, "requires a review, and no reviewer is configured")
        if outcome.unavailable:
            late = ", ".join(outcome.unavailable)
            return GuardUnavailableError(f"the guard {late} could not judge in time: send the request again")
        return None


def _blocked(verdict: Verdict, what: str) -> BlockedError:
    return BlockedError(f"the guard {verdict.guard} {what}", detail=f"{verdict.guard}: {verdict.note}")
