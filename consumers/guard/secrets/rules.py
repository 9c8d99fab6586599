"""All rules, in the order in which they are searched."""

from __future__ import annotations

from typing import Final

from consumers.guard.secrets.cloud_formats import CLOUD_FORMATS
from consumers.guard.secrets.code_formats import CODE_FORMATS
from consumers.guard.secrets.generic_formats import GENERIC_FORMATS
from consumers.guard.secrets.secret_format import SecretFormat
from consumers.guard.secrets.service_formats import SERVICE_FORMATS

RULES: Final[tuple[SecretFormat, ...]] = (*CLOUD_FORMATS, *CODE_FORMATS, *SERVICE_FORMATS, *GENERIC_FORMATS)

KINDS: Final = frozenset(rule.kind for rule in RULES)
"""The kind of each rule. The configuration switches rules off by it."""
