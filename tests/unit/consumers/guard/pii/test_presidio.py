"""Presidio's findings join the guard's own. The engine is a stand-in with the documented method of the real one."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest

from consumers.guard.content import Content
from consumers.guard.pii import presidio as adapter
from consumers.guard.pii.guard import PII, PiiConfig
from consumers.guard.pii.presidio import LONGEST, PresidioResult, presidio
from consumers.guard.registry import GuardConfigError, GuardRegistry
from consumers.guard.text_threads import text_thread
from schemas.errors import TooLargeError
from schemas.guards import GuardSettings, TenantGuards
from tests.unit.consumers.guard.fakes import context

pytestmark = pytest.mark.anyio

NAMES = PiiConfig(presidio=("PERSON",), presidio_language="xx")


@dataclass
class Result:
    """One place, with the fields of RecognizerResult."""

    entity_type: str
    start: int
    end: int
    score: float


@dataclass
class Engine:
    """Finds one name, as AnalyzerEngine.analyze returns it, and notes its calls."""

    supported_languages: list[str]
    asked: list[tuple[str, str, list[str], float]] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)

    def analyze(self, text: str, language: str, entities: list[str], *, score_threshold: float) -> list[PresidioResult]:
        self.asked.append((text, language, entities, score_threshold))
        self.threads.add(threading.current_thread().name)
        start = text.find("Ada Lovelace")
        return [Result("PERSON", start, start + 12, 0.85)] if start >= 0 else []


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    presidio.cache_clear()
    monkeypatch.setitem(sys.modules, "presidio_analyzer", SimpleNamespace(AnalyzerEngine=Engine))
    monkeypatch.setattr(adapter, "find_spec", lambda name: name)


async def test_both_detectors_give_placeholders() -> None:
    """A name has no check digit, so it needs a model; an address does not."""
    guard = PII.make(NAMES, "input", text_thread)
    result = await guard(Content("I am Ada Lovelace, ada@x.example. Yours, ada."), context())
    assert result.text == "I am <PERSON_1>, <EMAIL_1>. Yours, ada."
    assert result.placeholders == {"<PERSON_1>": "Ada Lovelace", "<EMAIL_1>": "ada@x.example"}
    assert (result.note, result.score) == ("email, person", 1.0)


async def test_the_engine_runs_in_its_own_thread_with_the_configured_values() -> None:
    """It takes tens of milliseconds, which the event loop does not have."""
    guard = PII.make(NAMES, "input", text_thread)
    await guard(Content("Ada Lovelace"), context())
    engine = presidio("xx").engine
    assert isinstance(engine, Engine)
    assert engine.asked == [("Ada Lovelace", "xx", ["PERSON"], 0.5)]
    assert threading.current_thread().name not in engine.threads


async def test_all_tenants_share_an_engine() -> None:
    """Its model has hundreds of megabytes."""
    PII.make(NAMES, "input", text_thread)
    PII.make(PiiConfig(presidio=("LOCATION",), presidio_language="xx"), "output", text_thread)
    assert presidio.cache_info().misses == 1


async def test_a_text_that_would_keep_the_thread_for_seconds_is_refused() -> None:
    """Passing it on without a look would be a way around the guard."""
    guard = PII.make(NAMES, "input", text_thread)
    with pytest.raises(TooLargeError, match="at most 20000 characters"):
        await guard(Content("x" * (LONGEST + 1)), context())


def test_it_is_a_start_error_if_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guard that was asked for and finds nothing would be found out too late."""
    monkeypatch.setattr(adapter, "find_spec", lambda name: None)
    settings = TenantGuards(input={"pii": GuardSettings(config={"presidio": ["PERSON"]})})
    message = r"guard input:pii: presidio is configured and not installed: install headrace\[presidio\], or remove it"
    with pytest.raises(GuardConfigError, match=message):
        GuardRegistry().pipeline(settings)


def test_it_is_a_start_error_if_its_model_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """spaCy ends the program that asks for a model it cannot load."""

    def broken(**_: object) -> None:
        raise SystemExit(1)

    monkeypatch.setitem(sys.modules, "presidio_analyzer", SimpleNamespace(AnalyzerEngine=broken))
    with pytest.raises(ValueError, match="presidio cannot start for the language xx: SystemExit"):
        PII.make(NAMES, "input", text_thread)


def test_it_is_not_imported_unless_it_is_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most installations do not have it."""
    monkeypatch.setattr(adapter, "find_spec", lambda name: pytest.fail("asked for presidio"))
    PII.make(PiiConfig(), "input", text_thread)
