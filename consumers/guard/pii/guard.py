"""The guard for personal data: it replaces the data in a text by placeholders."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Literal, TypeAlias

from pydantic import Field, StringConstraints

from consumers.guard.content import Channel, Content
from consumers.guard.detection import TEXT_POLICY, Act, Detected, Detection
from consumers.guard.guard_plugin import GuardPlugin
from consumers.guard.guards import Guard
from consumers.guard.pii.detector import PiiDetector, PiiRules
from consumers.guard.pii.literal_stream import LiveLiterals, escape
from consumers.guard.pii.task import LITERAL, detector_of
from consumers.guard.stream import StreamStage
from consumers.guard.stream_redaction import StreamRedaction, blocking
from consumers.guard.text_tasks import TextWork
from consumers.placeholders import PlaceholderNames
from schemas.guards import GuardStage

PiiAction: TypeAlias = Literal["flag", "redact", "block"]
PresidioEntity: TypeAlias = Annotated[str, StringConstraints(pattern="^[A-Z][A-Z0-9_]{0,31}$")]

_FOREIGN: frozenset[Channel] = frozenset({"request", "tool_result"})
"""Channels in whose texts no placeholder is the platform's. Memories, calls and answers have those of their run."""


class PiiConfig(PiiRules):
    """The configuration of the guard for personal data."""

    action: PiiAction = "redact"
    """The action for a text with personal data. ``redact`` replaces the data by placeholders."""

    presidio: tuple[PresidioEntity, ...] = ()
    """Further kinds, by Presidio's names, such as ``PERSON``. They need the extra ``presidio``."""

    presidio_language: Annotated[str, StringConstraints(pattern="^[a-z]{2,3}$")] = "en"
    """The language of the model that Presidio uses."""

    presidio_score: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The lowest score at which a finding of Presidio counts."""


def _guard(config: PiiConfig, _stage: GuardStage, work: TextWork) -> Guard:
    rules = config.model_dump_json(include=set(PiiRules.model_fields), exclude_defaults=True)
    detector_of(rules)  # refuses unknown regions
    own = Detection("pii", pii_action(config.action), work, options=_options(rules))
    return _with_presidio(config, own) if config.presidio else own


def _with_presidio(config: PiiConfig, own: Detection) -> Guard:
    from consumers.guard.pii.presidio import PresidioDetection, presidio  # noqa: PLC0415 - only where it is configured

    return PresidioDetection(
        own.task,
        own.act,
        own.work,
        options=own.options,
        presidio=presidio(config.presidio_language),
        entities=config.presidio,
        least=config.presidio_score,
    )


def pii_action(action: PiiAction) -> Act:
    """Return the action for each result. Literal placeholders alone are escaped, and block nothing."""

    def act(found: Detected, _content: Content, /) -> PiiAction:
        return "redact" if found.kinds == (LITERAL,) else action

    return act


def _options(rules: str) -> Callable[[Content], tuple[str, ...]]:
    def options(content: Content) -> tuple[str, ...]:
        if not content.placeholders:
            return (rules,)
        known = json.dumps(dict(content.placeholders))
        return (rules, known, "" if content.channel in _FOREIGN else known)

    return options


def _stream(config: PiiConfig, content: Content, context: str) -> Sequence[StreamStage]:
    literals = StreamRedaction(LiveLiterals(frozenset(content.placeholders)), escape, context, views=False, reach=0)
    if config.action == "flag":
        return (literals,)
    names = PlaceholderNames(content.placeholders)
    replacement = blocking("pii") if config.action == "block" else lambda found, value: names.name(found.kind, value)
    return literals, StreamRedaction(PiiDetector.of(config), replacement, context)


PII = GuardPlugin("pii", PiiConfig, _guard, rewrites=True, stream=_stream, policy=TEXT_POLICY)
