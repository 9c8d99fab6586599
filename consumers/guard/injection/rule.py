"""A rule: an expression of RE2 for one kind of injection, with the weight of a match."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple, TypeAlias

RuleKind: TypeAlias = Literal[
    "instruction_override",
    "role_change",
    "prompt_extraction",
    "secret_extraction",
    "unrestricted_persona",
    "safety_removal",
    "false_authority",
    "chat_template",
    "tool_forgery",
    "exfiltration",
    "concealment",
    "encoded_payload",
    "addressed_model",
    "output_hijack",
]


class Rule(NamedTuple):
    """An expression with its weights, in log-odds: 0 is no evidence, 3 makes an even chance of a rare attack."""

    kind: RuleKind
    pattern: str
    request: float
    """Weight if a user wrote the text."""

    foreign: float
    """Weight in all other texts, in which an instruction to the model has no place."""

    language: str = "en"


def rules(kind: RuleKind, request: float, foreign: float, patterns: Iterable[str], language: str = "en") -> list[Rule]:
    """Return one rule for each pattern."""
    return [Rule(kind, pattern, request, foreign, language) for pattern in patterns]


def filled(patterns: Iterable[str], **words: str) -> Iterator[str]:
    """Replace each ``<name>`` in the patterns by the alternatives of that name."""
    for pattern in patterns:
        for name, alternatives in words.items():
            pattern = pattern.replace(f"<{name}>", f"(?:{alternatives})")  # noqa: PLW2901 - each name in turn
        yield pattern
