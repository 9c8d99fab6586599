"""Presidio behind the guard for personal data: names, places and other kinds that need a language model.

It is imported only if a configuration asks for it, and runs in a thread of its own: a text takes tens of milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from typing import Final, Protocol

from consumers.guard.content import Content
from consumers.guard.detection import Detected, Detection
from consumers.guard.finding import Finding, findings
from consumers.guard.pii.task import detector_of, redacted_pii
from consumers.resilience.deadline import Deadline
from consumers.resilience.thread_pool import ThreadPool
from schemas.clock import Clock, SystemClock
from schemas.errors import TooLargeError

LONGEST: Final = 20_000
"""Characters that Presidio reads. A longer text would keep its thread for seconds."""

WAIT_MS: Final = 60_000
"""Milliseconds for the thread and for one text. The time limit of the guard ends before."""

_PACKAGE: Final = "presidio_analyzer"


class PresidioResult(Protocol):
    """One result of Presidio (``RecognizerResult``)."""

    entity_type: str
    start: int
    end: int
    score: float


class PresidioEngine(Protocol):
    """The method of Presidio's ``AnalyzerEngine`` that is used."""

    def analyze(
        self, text: str, language: str, entities: list[str], *, score_threshold: float
    ) -> Iterable[PresidioResult]:
        """Return the entities of these kinds with at least this score."""
        ...


@dataclass(frozen=True, slots=True)
class Presidio:
    """An engine for one language, with the thread that it runs in."""

    engine: PresidioEngine
    language: str
    thread: ThreadPool

    def findings(self, text: str, entities: Sequence[str], score: float) -> list[Finding]:
        """Return Presidio's findings, under its names in lower case."""
        found = self.engine.analyze(text, self.language, list(entities), score_threshold=score)
        return [Finding(each.entity_type.lower(), each.start, each.end, min(1.0, each.score)) for each in found]


@lru_cache(maxsize=8)
def presidio(language: str) -> Presidio:
    """Return the engine of a language, one for all tenants. Raise ValueError if it is not installed or cannot start."""
    if find_spec(_PACKAGE) is None:
        raise ValueError("presidio is configured and not installed: install headrace[presidio], or remove it")
    try:
        engine = import_module(_PACKAGE).AnalyzerEngine(supported_languages=[language])
    except (Exception, SystemExit) as error:  # a missing model ends the program
        raise ValueError(f"presidio cannot start for the language {language}: {type(error).__name__}") from error
    return Presidio(engine, language, ThreadPool(1))


@dataclass(frozen=True, slots=True, kw_only=True)
class PresidioDetection(Detection):
    """The guard for personal data with the findings of Presidio added to its own."""

    presidio: Presidio
    entities: tuple[str, ...]
    least: float
    """The lowest score of a finding that counts."""

    clock: Clock = field(default_factory=SystemClock)

    async def detected(self, content: Content, tenant: str) -> Detected:  # noqa: ARG002 - the base's argument
        """Return both detectors' result. Raise TooLargeError for a text that Presidio does not read."""
        if len(content.text) > LONGEST:
            raise TooLargeError(f"the text is too long to look for names: at most {LONGEST} characters")
        deadline = Deadline(self.clock.now_ms() + WAIT_MS, self.clock)
        return await self.presidio.thread.run(self._detected, content, deadline=deadline)

    def _detected(self, content: Content) -> Detected:
        rules, *placeholders = self.options(content)
        own = findings(detector_of(rules).detect, content.text, content.hidden)
        named = self.presidio.findings(content.text, self.entities, self.least)
        return redacted_pii(content.text, (*own, *named), *placeholders)
