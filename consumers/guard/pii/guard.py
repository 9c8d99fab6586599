"""The guard for personal data: it replaces the data in a text by placeholders."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Literal, TypeAlias

from consumers.guard.content import Channel, Content
from consumers.guard.detection import Act, Detected, Detection
from consumers.guard.guard_plugin import GuardPlugin
from consumers.guard.guards import Guard
from consumers.guard.pii.detector import PiiRules
from consumers.guard.pii.task import LITERAL, detector_of
from consumers.guard.text_tasks import TextWork
from schemas.guards import GuardStage

PiiAction: TypeAlias = Literal["flag", "redact", "block"]

_FOREIGN: frozenset[Channel] = frozenset({"request", "tool_result"})
"""Channels in whose texts no placeholder is the platform's. Memories, calls and answers have those of their run."""


class PiiConfig(PiiRules):
    """The configuration of the guard for personal data."""

    action: PiiAction = "redact"
    """The action for a text with personal data. ``redact`` replaces the data by placeholders."""


def _guard(config: PiiConfig, _stage: GuardStage, work: TextWork) -> Guard:
    rules = config.model_dump_json(include=set(PiiRules.model_fields), exclude_defaults=True)
    detector_of(rules)  # refuses unknown regions
    return Detection("pii", pii_action(config.action), work, options=_options(rules))


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


PII = GuardPlugin("pii", PiiConfig, _guard, rewrites=True)
