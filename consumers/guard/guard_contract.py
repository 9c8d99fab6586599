"""The contract of a plugin and of a guard's result. A result that breaks it counts as a failure of the guard."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, get_args

from pydantic import ValidationError

from consumers.guard.content import Content
from consumers.guard.guard_plugin import ALL_STAGES, GuardPlugin
from consumers.guard.guards import Action, GuardResult, Policy
from consumers.guard.text_tasks import EVIDENCE_LIMIT, SIZE_LIMIT
from schemas.models import Payload

ACTIONS: Final[tuple[Action, ...]] = get_args(Action)

NOTE_LIMIT: Final = 200
"""Characters of a note that a verdict carries at most."""

PLACEHOLDER_LIMIT: Final = 256
"""Characters of one placeholder."""


class GuardContractError(Exception):
    """A guard returned a result that its contract excludes. The message is fixed wording, without content."""


def check(result: object, content: Content, *, rewrites: bool) -> GuardResult:
    """Return the result of a guard for *content*. Raise GuardContractError if it breaks the contract."""
    if not isinstance(result, GuardResult):
        raise GuardContractError("it returned no GuardResult")
    if result.action not in ACTIONS:
        raise GuardContractError("it returned an unknown action")
    _check_score(result.score)
    if result.evidence:
        _check_evidence(result.evidence, len(content.text))
    if not isinstance(result.note, str):
        raise GuardContractError("its note is no text")
    _check_text(result, rewrites=rewrites)
    return result


def _check_score(score: object) -> None:
    if type(score) not in (float, int) or not (isinstance(score, float | int) and math.isfinite(score)):
        raise GuardContractError("its score is no number")
    if not 0 <= score <= 1:
        raise GuardContractError("its score is not between 0 and 1")


def _check_evidence(evidence: object, length: int) -> None:
    """Check the spans that a verdict carries."""
    if not isinstance(evidence, tuple):
        raise GuardContractError("its evidence is no tuple of spans")
    for span in evidence[:EVIDENCE_LIMIT]:
        if not (isinstance(span, tuple) and len(span) == 2 and all(type(each) is int for each in span)):  # noqa: PLR2004 - start and end
            raise GuardContractError("its evidence is no tuple of spans")
        if not 0 <= span[0] <= span[1] <= length:
            raise GuardContractError("its evidence is outside of the text")


def _check_text(result: GuardResult, *, rewrites: bool) -> None:
    if result.text is None:
        if result.action == "redact":
            raise GuardContractError("it returned a redaction without a text")
        return
    if not rewrites:
        raise GuardContractError("it is a detector, and returned another text")
    if not all(isinstance(each, str) for each in (result.text, result.hidden)):
        raise GuardContractError("its text is no text")
    if len(result.text) > SIZE_LIMIT:
        raise GuardContractError("its text is longer than any topic takes")
    _check_placeholders(result.placeholders)


def _check_placeholders(placeholders: Mapping[Any, Any]) -> None:
    if not isinstance(placeholders, Mapping):
        raise GuardContractError("its placeholders are no mapping")
    for name, original in placeholders.items():
        if not (isinstance(name, str) and isinstance(original, str) and 0 < len(name) <= PLACEHOLDER_LIMIT):
            raise GuardContractError("its placeholders are no texts")


def check_plugin(plugin: GuardPlugin[Any]) -> None:
    """Raise GuardContractError if the plugin breaks the contract."""
    _check_config(plugin.config)
    if not callable(plugin.make):
        raise GuardContractError("its `make` is no function of (config, stage, work)")
    if not plugin.stages or not set(plugin.stages) <= ALL_STAGES:
        raise GuardContractError(f"its stages are not among {', '.join(sorted(ALL_STAGES))}")
    if not isinstance(plugin.policy, Policy):
        raise GuardContractError("its policy is no Policy")


def _check_config(config: object) -> None:
    if not (isinstance(config, type) and issubclass(config, Payload)):
        raise GuardContractError("its config is no subclass of Payload")
    if config.model_config.get("extra") != "forbid":
        raise GuardContractError("its config accepts unknown fields, so that a misspelt one would be ignored")
    try:
        config()
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, each["loc"])) for each in error.errors())
        raise GuardContractError(f"its config has fields without a default: {fields}") from error
