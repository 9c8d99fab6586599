"""The normaliser: one spelling for every text, without invisible characters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from consumers.context import StepContext
from consumers.guard.content import Content
from consumers.guard.guard_plugin import GuardPlugin
from consumers.guard.guards import GuardResult
from consumers.guard.marks import MARKS
from consumers.guard.normal_form import GROWTH, Normalised, is_normal, normalise
from consumers.guard.text_tasks import NormalText, TextWork, normal_text
from consumers.guard.text_threads import text_thread
from schemas.errors import TooLargeError
from schemas.guards import GuardStage
from schemas.models import Payload

__all__ = ["GROWTH", "MARKS", "NORMALISE", "Normalise", "NormaliseConfig", "Normalised", "normalise"]


SMALL: Final = 2_048
"""Characters that are normalised on the event loop: at most two or three milliseconds."""

LOOKED_AT: Final = 32_768
"""Characters of which the event loop checks that they are normal already, as most texts are."""


@dataclass(frozen=True, slots=True)
class Normalise:
    """The guard that normalises. It reports hidden text and changed text order, but none of its other changes."""

    work: TextWork = text_thread
    action: Literal["flag", "block"] = "flag"
    """The action for hidden text and changed text order."""

    async def __call__(self, content: Content, context: StepContext) -> GuardResult:
        """Return the content in its normal spelling. Raise TooLargeError if that is longer than any topic takes."""
        normal = await self._normal_text(content.text, context.tenant.id)
        if normal.text is None:
            raise TooLargeError("the input is too long once it is normalised: shorten it")
        if not normal.evidence:
            return GuardResult(text=normal.text)

        return GuardResult(
            action=self.action,
            score=1.0,
            evidence=normal.evidence,
            note=", ".join(normal.kinds),
            text=normal.text,
            hidden=normal.hidden,
        )

    async def _normal_text(self, text: str, tenant: str) -> NormalText:
        if text.isascii() or len(text) <= SMALL:
            return normal_text(text)
        if len(text) <= LOOKED_AT and is_normal(text):
            return NormalText(text)
        normal = NormalText(*await self.work(tenant, "normal_change", text))
        return normal._replace(text=text) if normal.same else normal


class NormaliseConfig(Payload):
    """The configuration of the normaliser."""

    action: Literal["flag", "block"] = "flag"
    """The action for hidden text and changed text order. All other changes pass."""


def _guard(config: NormaliseConfig, _stage: GuardStage, work: TextWork) -> Normalise:
    normalise("\u200b")  # its tables take some milliseconds, once
    return Normalise(work, config.action)


NORMALISE = GuardPlugin("normalise", NormaliseConfig, _guard, rewrites=True)
