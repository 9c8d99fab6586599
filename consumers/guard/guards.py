"""The guard protocol, one method that every detector implements, and the operator's policy for a guard."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Literal, Protocol, TypeAlias

from pydantic import Field

from consumers.context import StepContext
from consumers.guard.content import Content
from consumers.guard.views import Span
from schemas.models import Payload

Action: TypeAlias = Literal["pass", "flag", "redact", "review", "block"]


@dataclass(frozen=True, slots=True)
class GuardResult:
    """The result of a guard for one content. A rewrite returns a text, with any action; "redact" requires a text."""

    action: Action = "pass"
    score: float = 0.0
    evidence: tuple[Span, ...] = ()
    """Spans of the text as the guard received it."""

    note: str = ""
    """The reason, in fixed wording. It never quotes the content, since verdicts are sent and logged."""

    text: str | None = field(default=None, repr=False)
    """The text that replaces the content's text; None: it is not replaced."""

    hidden: str = field(default="", repr=False)
    """Text that the guard removed because it was invisible; detectors still read it."""

    placeholders: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """New placeholders in *text*, with the personal data that each stands for."""


class Guard(Protocol):
    """A guard judges one content. It may raise or be late; its policy decides the consequence."""

    async def __call__(self, content: Content, context: StepContext, /) -> GuardResult:
        """Return the guard's result for the content."""
        ...


class Policy(Payload):
    """The time limit and failure handling of one guard."""

    timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 30.0
    """Time limit in seconds. Waiting for text work to begin does not count. A megabyte may take two seconds of CPU
    time, which a busy machine gives slowly, and a text process that has just started loads its tables first."""

    failure: Literal["open", "closed"] = "closed"
    """Action if the guard fails: "open" flags the content, "closed" does not pass it on.

    If the guard is late or unavailable, "closed" ends the request as ``guard_unavailable``, which the client may send
    again. Any other failure blocks it."""

    shadow: bool = False
    """True if the guard only reports: its verdict passes, and its note names the action it would have taken."""


@dataclass(frozen=True, slots=True)
class GuardSpec:
    """A guard with its name and its policy."""

    name: str
    """Its name in verdicts, results and metrics."""

    guard: Guard
    rewrites: bool = False
    """True if it may change the text. Such guards run one after another; the others run side by side."""

    policy: Policy = field(default_factory=Policy)

    reads_views: bool = True
    """False if it does not read ``Content.views``, which take time to decode for a long text."""
