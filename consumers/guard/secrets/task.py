"""The text task of the secrets guard."""

from __future__ import annotations

from collections.abc import Iterator

import re2

from consumers.guard.detection import Detected, detected, redacted
from consumers.guard.finding import Finding, findings

# GitHub: https://github.blog/engineering/platform-security/behind-githubs-new-authentication-token-formats/
# AWS: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
_RULES = {
    "github_token": re2.compile(r"\b(?:gh[pousr]_[0-9A-Za-z]{36}|github_pat_[0-9A-Za-z_]{82})\b"),
    "aws_access_key_id": re2.compile(r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b"),
    "private_key": re2.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*?)(?:-----END [A-Z ]*PRIVATE KEY-----|$)"),
}


def find_secrets(text: str, hidden: str) -> Detected:
    """Return the secrets of the text and its other readings, with the redacted text."""
    found = findings(_rules, text, hidden)
    return detected(found, text=redacted(text, found, lambda each: f"<{each.kind.upper()}>") if found else None)


def _rules(text: str) -> Iterator[Finding]:
    for kind, rule in _RULES.items():
        for match in rule.finditer(text):
            yield Finding(kind, match.start(), match.end())
