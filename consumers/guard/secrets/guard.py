"""The secrets guard: it removes credentials from a text, or stops the text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from consumers.guard.content import Content
from consumers.guard.detection import TEXT_POLICY, Detected, Detection
from consumers.guard.guard_plugin import GuardPlugin
from consumers.guard.secrets.task import SecretRules, detector_of, removed
from consumers.guard.stream import StreamStage
from consumers.guard.stream_redaction import StreamRedaction, blocking
from consumers.guard.text_tasks import TextWork
from schemas.guards import GuardStage

SecretAction: TypeAlias = Literal["flag", "redact", "block"]


class SecretsConfig(SecretRules):
    """The configuration of the secrets guard."""

    action: SecretAction | None = None
    """The action for a text with a secret. By default ``redact``, and ``block`` before a tool runs.

    A tool would run with the replacing words as its argument, so its call is not changed by default."""


def _guard(config: SecretsConfig, stage: GuardStage, work: TextWork) -> Detection:
    action: SecretAction = config.action or ("block" if stage == "tool" else "redact")
    rules = _rules(config)
    detector_of(rules)  # compiles them, and refuses what is too large

    def act(_found: Detected, _content: Content) -> SecretAction:
        return action

    return Detection("secrets", act, work, options=lambda _content: (rules,))


def secrets_stream(config: SecretsConfig, _content: Content, context: str) -> Sequence[StreamStage]:
    """Return the stage that guards one stream; none if secrets are only flagged."""
    if config.action == "flag":
        return ()
    replacement = blocking("secrets") if config.action == "block" else removed
    return (StreamRedaction(detector_of(_rules(config)), replacement, context),)


def _rules(config: SecretsConfig) -> str:
    return config.model_dump_json(include=set(SecretRules.model_fields), exclude_defaults=True)


SECRETS = GuardPlugin("secrets", SecretsConfig, _guard, rewrites=True, stream=secrets_stream, policy=TEXT_POLICY)
