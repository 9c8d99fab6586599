"""Personal data by Faker with fixed seeds, and the templates of texts around it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from faker import Faker

from consumers.guard.pii.detector import PiiDetector

SEED: Final = 20_261_201

TEMPLATES: Final = (
    "Please write to {} by Friday.",
    "I have a question about {}, can you help me?",
    "{}",
    "Name: Ada Lovelace\nDetails: {}\nCity: London",
    '{{"customer": {{"value": "{}", "active": true}}}}',
    "We could not reach the customer ({}).",
    "- {}\n- second entry",
    "Thanks!\n\nBest regards,\nAda\n{}",
    "Is it {}?",
    "<p>{}</p>",
    "old value: {}; new value: none",
    "| customer | {} | open |",
)
"""Texts that announce nothing."""

PHONE_TEMPLATES: Final = (
    "My phone number is {}.",
    "Call me at {} after five.",
    "Tel.: {}",
    '{{"name": "Ada", "phone": "{}"}}',
    "You can reach us on {} or by mail.",
    "Mobile: {}, fax on request",
    "{} is my new number",
    "Please add my cell {} to the account",
    "WhatsApp {}",
    "Ada Lovelace (phone {})",
    "Our office number is {}",
    "Ring me back on {}.",
)
"""Texts that announce a phone number."""

GROUPED: Final[Sequence[Callable[[str], str]]] = (
    str,
    lambda value: " ".join(value[at : at + 4] for at in range(0, len(value), 4)),
    lambda value: "-".join(value[at : at + 4] for at in range(0, len(value), 4)),
)


def faker(locale: str, seed: int = SEED) -> Faker:
    """Return a source of values that are always the same."""
    logging.getLogger("faker").setLevel(logging.ERROR)
    source = Faker(locale)
    source.seed_instance(seed)
    return source


def embedded(values: Sequence[str], templates: Sequence[str] = TEMPLATES) -> Iterator[tuple[str, int, int]]:
    """Yield each value in one of the templates, with its offsets."""
    for number, value in enumerate(values):
        before, after = templates[number % len(templates)].replace("{{", "{").replace("}}", "}").split("{}")
        yield before + value + after, len(before), len(before) + len(value)


def missed(kind: str, values: Sequence[str], templates: Sequence[str] = TEMPLATES) -> list[str]:
    """Return the texts in which the value is not found as a whole, as this kind."""
    detect = PiiDetector().detect
    return [
        text
        for text, start, end in embedded(values, templates)
        if not any(each.kind == kind and each.start <= start and each.end >= end for each in detect(text))
    ]
