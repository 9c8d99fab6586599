"""A guard: the one-method seam that every detector fills, and what the operator says of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal, Protocol, TypeAlias

from pydantic import Field

from consumers.context import Context
from consumers.guard.content import Content
from consumers.guard.views import Span
from schemas.models import Payload

Action: TypeAlias = Literal["pass", "flag", "redact", "review", "block"]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a guard says of one content. A guard that rewrites gives a text, with whatever action; "redact" must."""

    action: Action = "pass"
    score: float = 0.0
    evidence: tuple[Span, ...] = ()
    """Spans of the text as the guard received it."""

    note: str = ""
    """Why, in words fixed beforehand: never a part of the content, since verdicts travel and are logged."""

    text: str | None = field(default=None, repr=False)
    """What takes the place of the content's text; None: nothing does."""

    hidden: str = field(default="", repr=False)
    """What the guard took out of the text because nobody saw it; detectors still read it."""


class Guard(Protocol):
    """Judges one content. May raise and may take its time: its policy says what becomes of that."""

    async def __call__(self, content: Content, context: Context, /) -> Judgement:
        """What it says of the content."""
        ...


class Policy(Payload):
    """How one guard is held."""

    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2.0
    """Seconds."""

    failure: Literal["open", "closed"] = "closed"
    """When the guard fails or is late: "open" flags the content, "closed" blocks it."""

    shadow: bool = False
    """Whether it only reports: its verdict passes, and its note says what it would have done."""


@dataclass(frozen=True, slots=True)
class GuardSpec:
    """A guard in its place."""

    name: str
    """In verdicts, results and metrics."""

    guard: Guard
    rewrites: bool = False
    """Whether it may change the text. Such guards take turns; the others run side by side."""

    policy: Policy = field(default_factory=Policy)
