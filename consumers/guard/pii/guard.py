"""The guard for personal data: it replaces the data in a text by placeholders."""

from __future__ import annotations

from typing import Literal

from consumers.guard.content import Content
from consumers.guard.detection import Detected, Detection
from consumers.guard.guard_plugin import GuardPlugin
from consumers.guard.text_tasks import TextWork
from schemas.guards import GuardStage
from schemas.models import Payload


class PiiConfig(Payload):
    """The configuration of the guard for personal data."""

    action: Literal["flag", "redact", "block"] = "redact"
    """The action for a text with personal data."""


def _guard(config: PiiConfig, _stage: GuardStage, work: TextWork) -> Detection:
    def act(_found: Detected, _content: Content) -> Literal["flag", "redact", "block"]:
        return config.action

    return Detection("pii", act, work)


PII = GuardPlugin("pii", PiiConfig, _guard, rewrites=True)
