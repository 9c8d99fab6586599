"""The secrets guard: it replaces credentials in a text."""

from __future__ import annotations

from typing import Literal

from consumers.guard.content import Content
from consumers.guard.detection import Detected, Detection
from consumers.guard.guard_plugin import GuardPlugin
from consumers.guard.text_tasks import TextWork
from schemas.guards import GuardStage
from schemas.models import Payload


class SecretsConfig(Payload):
    """The configuration of the secrets guard."""

    action: Literal["flag", "redact", "block"] = "redact"
    """The action for a text with a secret."""


def _guard(config: SecretsConfig, _stage: GuardStage, work: TextWork) -> Detection:
    def act(_found: Detected, _content: Content) -> Literal["flag", "redact", "block"]:
        return config.action

    return Detection("secrets", act, work)


SECRETS = GuardPlugin("secrets", SecretsConfig, _guard, rewrites=True)
