"""The text task of the secrets guard, with the operator's own rules."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Annotated, Final

from pydantic import AfterValidator, Field, StringConstraints

from consumers.guard.detection import Detected, detected, redacted
from consumers.guard.finding import Finding, findings
from consumers.guard.secrets.expressions import checked
from consumers.guard.secrets.formats import SecretFormats
from consumers.guard.secrets.rules import KINDS
from consumers.guard.secrets.scan import SecretDetector
from consumers.guard.secrets.secret_format import SecretFormat
from consumers.guard.secrets.strength import LIKELY
from schemas.models import Payload

OWN_RULES: Final = 50
"""The most rules of an operator."""


def _known(kind: str) -> str:
    if kind not in KINDS:
        raise ValueError(f"no rule finds the kind {kind!r}; docs/reference/guards.md lists the kinds")
    return kind


class SecretRule(Payload):
    """A rule of the operator: a kind of secrets, and its pattern."""

    kind: Annotated[str, StringConstraints(pattern="^[a-z][a-z0-9_]{0,39}$")]
    """The kind in verdicts, and in the text that replaces the secret."""

    pattern: Annotated[str, AfterValidator(checked)]
    """RE2 pattern of ASCII characters. Its group, if it has one, is the secret."""


class SecretRules(Payload):
    """The changes to the rules."""

    off: tuple[Annotated[str, AfterValidator(_known)], ...] = ()
    """Kinds that are not looked for."""

    rules: Annotated[tuple[SecretRule, ...], Field(max_length=OWN_RULES)] = ()
    """Rules of the operator, beside Headrace's own."""


def find_secrets(text: str, hidden: str, rules: str = "") -> Detected:
    """Return the secrets of the text and of its other readings, with the text without them.

    *rules* are SecretRules in JSON.
    """
    found = findings(detector_of(rules).detect, text, hidden)
    return detected(found, text=without(text, found) if found else None)


def without(text: str, found: Iterable[Finding]) -> str:
    """Return *text* with a fixed wording in place of each secret. An encoded part goes as a whole."""
    return redacted(text, found, removed)


def removed(found: Finding, _secret: str = "") -> str:
    """Return the words that replace a secret."""
    return f"[secret removed: {found.kind}]"


@lru_cache(maxsize=256)
def detector_of(rules: str = "") -> SecretDetector:
    """Return the detector with these SecretRules in JSON. Raise ValueError if they are too large together."""
    changes = SecretRules.model_validate_json(rules) if rules else SecretRules()
    own = [SecretFormat(each.kind, each.pattern, "", _found) for each in changes.rules]
    return SecretDetector(SecretFormats(own) if own else None, changes.off)


def _found(_before: str, _secret: str) -> float:
    return LIKELY
