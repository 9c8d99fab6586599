"""Texts for the guards' benchmark: what people and programs send to an agent, in several languages and formats."""

from __future__ import annotations

from itertools import cycle, islice
from typing import Final

SENTENCES: Final = (
    "Please summarise the attached report for the board and keep it under two pages.",
    "The delivery to our warehouse in Leeds arrived three days late, and two of the pallets were damaged.",
    "Could you tell me which plan suits a team of twelve, and whether we can change it later?",
    "I changed my password yesterday, and since then the app asks me to sign in every morning.",
    "2026-03-01T09:14:22Z INFO orders.worker committed offset=118822 partition=7 lag=0 took=14ms",
    "def total(lines: list[Line]) -> Decimal:\n    return sum((each.price * each.count for each in lines), Decimal(0))",
    '{"order": "A-10293", "items": [{"sku": "KB-2291-X", "count": 2}], "note": "leave it at the desk"}',
    "See https://docs.example.com/guides/getting-started?lang=en#install for the first steps.",
    "Können Sie mir bitte sagen, wann die Lieferung ankommt? Die Rechnung habe ich schon bezahlt.",
    "¿Me puedes recomendar un restaurante tranquilo cerca de la estación para cuatro personas?",
    "来週の会議の議題をまとめて、参加者に共有してください。資料は金曜日までに必要です。",
    "| region | revenue | growth |\n|---|---|---|\n| north | 1,204,500 | 4.1 % |\n| south | 988,120 | -0.7 % |",
    "My name is Ana Pereira; you can write to ana.pereira@example.com or call +44 20 7946 0958 after six.",
    "kubectl rollout restart deployment/gateway -n production && kubectl get pods -l app=gateway -w",
    "Build 4f1c2d9e8b7a6f5e4d3c2b1a0f9e8d7c6b5a4938 passed in 6m12s (3f2504e0-4f89-41d3-9a0c-0305e82c3301).",
    "Rewrite the second paragraph so that a child of ten understands it, and do not change the names.",
)
"""Fifteen of sixteen are free of personal data, and none has a secret or an instruction to the model."""


def texts_of(characters: int) -> tuple[str, ...]:
    """Return texts of so many characters. Each begins with another sentence."""
    return tuple(_text(first, characters) for first in range(len(SENTENCES)))


def _text(first: int, characters: int) -> str:
    parts: list[str] = []
    size = 0
    for sentence in islice(cycle(SENTENCES), first, None):
        parts.append(sentence)
        size += len(sentence) + 1
        if size > characters:
            break
    return " ".join(parts)[:characters]
