"""Detection: the base of all guards that find things in a text.

A detector is a text task: a plain function ``(text, hidden, *options) -> Detected``, with an entry in
``text_tasks.TASKS``. All work that grows with the text belongs into it, redaction and the readings of the text
included. The guard runs it on the event loop for short texts, and outside of it for long ones::

    def find_secrets(text: str, hidden: str, options: str) -> Detected:
        found = findings(rules, text, hidden)
        return detected(found, text=redacted(text, found, lambda each: f"<{each.kind}>"))


    guard = Detection("secrets", act, work, options=lambda content: (options,))

``act`` maps the result to an action. It takes constant time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol, TypeAlias

from consumers.context import StepContext
from consumers.guard.character_sets import REPLACEMENT
from consumers.guard.content import LARGE, Content
from consumers.guard.finding import Finding
from consumers.guard.guards import Action, GuardResult, Policy
from consumers.guard.text_tasks import EVIDENCE_LIMIT, TextWork, text_task
from consumers.guard.views import Span

PlaceholderItems: TypeAlias = tuple[tuple[str, str], ...]


class Detected(NamedTuple):
    """The result of a detector's task, as plain values. Its size does not grow with the number of findings."""

    kinds: tuple[str, ...] = ()
    """The kinds that were found, sorted. They become the verdict's note."""

    score: float = 0.0
    """The greatest confidence, from 0 to 1. A detector may give one below its threshold, without a kind."""

    evidence: tuple[Span, ...] = ()
    """Spans of the text, at most EVIDENCE_LIMIT."""

    text: str | None = None
    """The redacted text; None if nothing is to be redacted. It replaces the text if the action is ``redact``."""

    placeholders: PlaceholderItems = ()
    """New placeholders in *text*, with the personal data that each stands for."""


NOTHING: Final = Detected()

TEXT_POLICY: Final = Policy(timeout=30.0)
"""The policy of a guard that reads long texts: a busy machine gives the seconds of CPU time slowly."""

_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def detected(found: Sequence[Finding], *, text: str | None = None, placeholders: PlaceholderItems = ()) -> Detected:
    """Return the result of a task that has these findings."""
    if not found:
        return NOTHING
    spans = sorted({(each.start, each.end) for each in found if each.end})
    return Detected(
        kinds=tuple(sorted({each.kind for each in found})),
        score=max(each.score for each in found),
        evidence=tuple(spans[:EVIDENCE_LIMIT]),
        text=text,
        placeholders=placeholders,
    )


def redacted(text: str, found: Iterable[Finding], replacement: Callable[[Finding], str]) -> str:
    """Return *text* with every found span replaced. Spans that overlap become one, in the wording of the first."""
    parts: list[str] = []
    done = 0
    for each in sorted(found, key=lambda one: (one.start, -one.end)):
        if each.start >= done and each.end > each.start:
            parts += text[done : each.start], replacement(each)
        done = max(done, each.end)
    parts.append(text[done:])
    return "".join(parts)


class Act(Protocol):
    """Maps the result of a detector to an action."""

    def __call__(self, found: Detected, content: Content, /) -> Action:
        """Return the action. ``redact`` requires a text in the result."""
        ...


def encodable(text: str) -> str:
    """Return *text* with U+FFFD for each lone surrogate, which re2 refuses. Offsets stay. JSON can have surrogates."""
    if text.isascii():
        return text
    try:
        text.encode("utf-16-le")  # a tenth of the time of the search, and it refuses lone surrogates too
    except UnicodeEncodeError:
        return _SURROGATE.sub(REPLACEMENT, text)
    return text


def no_options(_: Content) -> tuple[str, ...]:
    """Return no options: the task needs the text alone."""
    return ()


@dataclass(frozen=True, slots=True)
class Detection:
    """A guard that runs one text task."""

    task: str
    """Name of the task in ``text_tasks.TASKS``, or its place, ``package.module:function``."""

    act: Act
    work: TextWork
    """Runs the task for long texts."""

    options: Callable[[Content], tuple[str, ...]] = no_options
    """Returns the task's further arguments: strings, such as its configuration as JSON."""

    on_loop: int = LARGE
    """Characters up to which the task runs on the event loop: at most some milliseconds."""

    def __post_init__(self) -> None:
        """Import the task. Raise ImportError or AttributeError if there is none."""
        text_task(self.task)

    async def __call__(self, content: Content, context: StepContext) -> GuardResult:
        """Return the result for the content. Raise GuardUnavailableError if a long text cannot be judged now."""
        found = await self.detected(content, context.tenant.id)
        if not found.kinds:
            return GuardResult(score=found.score)

        action = self.act(found, content)
        return GuardResult(
            action=action,
            score=found.score,
            evidence=found.evidence,
            note=", ".join(found.kinds),
            text=found.text if action == "redact" else None,
            placeholders=dict(found.placeholders) if action == "redact" else {},
        )

    async def detected(self, content: Content, tenant: str) -> Detected:
        """Return the result of the task."""
        texts = (encodable(content.text), content.hidden, *self.options(content))
        if len(content.text) + len(content.hidden) <= self.on_loop:
            return Detected(*text_task(self.task)(*texts))
        return Detected(*await self.work(tenant, self.task, *texts))
