"""The texts for the fit, each with its source and the place of the attack in it.

Three kinds: rows of a folder with openly licensed data, texts of our own making, and long technical texts of the
standard library, the installed packages and this repository.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import sysconfig
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import distributions
from itertools import repeat
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any, Final, NamedTuple

from faker import Faker

from ops.lab.injection import attacks, benign, carriers


class Sample(NamedTuple):
    """A text."""

    text: str
    source: str
    attack: tuple[int, int] | None = None
    """Place of the attack; None for a benign text."""


LEFT_OUT: Final = frozenset(
    {
        "control",
        "model_fingerprinting",
        "training_extraction",
        "code_execution",
        "chain_of_thought",
        "crescendo",
        "encoding",
        "adversarial",
    }
)
"""Categories that are no injection, or mostly not: harmful topics, plain questions, shell commands, controls."""

LEFT_OUT_SOURCE: Final = "neuralchemy/harmbench"
"""Requests for harmful content. They do not try to instruct against the instructions."""

_WORD: Final = re.compile(r"[^\W\d_]{3,}")
_FEWEST_WORDS: Final = 4
"""Words of an attack of the contest source; with fewer it is a secret's letters or noise."""

_PART: Final = 1_500
"""Characters of one part of a long text of the standard library."""

INTENTS: Final = ("clinc/oos-eval", "PolyAI/banking77")


def given(folder: Path) -> Iterator[Sample]:
    """Yield the rows of the folder that are used."""
    for row in _rows(folder / "injection.jsonl.gz"):
        if row["source"] == LEFT_OUT_SOURCE or (row["label"] and not _is_injection(row)):
            continue
        yield Sample(row["text"], row["source"], (0, len(row["text"])) if row["label"] else None)
    yield from (Sample(row["text"], row["source"]) for row in _rows(folder / "benign.jsonl.gz"))


def _rows(file: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _is_injection(row: dict[str, Any]) -> bool:
    if row["category"] in LEFT_OUT:
        return False
    return row["source"] != "neuralchemy/hackaprompt" or len(_WORD.findall(row["text"])) >= _FEWEST_WORDS


def own(seed: int, scale: float = 1.0) -> Iterator[Sample]:
    """Yield texts of our own making; the same for the same seed and version of Faker."""
    chance = random.Random(seed)
    fake = _faker("en_US", seed)
    fakes = {locale: _faker(locale, seed + at) for at, locale in enumerate(carriers.LOCALES)}
    makers: tuple[tuple[str, int, Callable[[], str]], ...] = (
        ("own/trigger words", 11_000, partial(benign.trigger, chance)),
        ("own/requests", 7_000, partial(benign.plain, chance)),
        ("own/requests in other languages", 4_500, partial(benign.foreign, chance)),
        ("own/other languages", 4_000, partial(carriers.foreign_prose, chance, fakes)),
        ("own/documents", 6_000, partial(carriers.carrier, chance, fake)),
    )
    for source, count, make in makers:
        yield from (Sample(make(), source) for _ in repeat(None, int(count * scale)))
    for source, count, make in (
        ("own/direct", 9_000, partial(attacks.direct, chance)),
        ("own/indirect", 4_000, partial(attacks.indirect, chance)),
    ):
        yield from (_whole(make(), source) for _ in repeat(None, int(count * scale)))
    yield from (_planted(chance, fake, fakes) for _ in repeat(None, int(5_000 * scale)))


def _whole(text: str, source: str) -> Sample:
    return Sample(text, source, (0, len(text)))


def _planted(chance: random.Random, fake: Faker, fakes: dict[str, Faker]) -> Sample:
    english = chance.random() < 0.9
    document = carriers.carrier(chance, fake) if english else carriers.foreign_prose(chance, fakes)
    attack = attacks.indirect(chance)
    text, at = carriers.plant(document, attack, chance)
    return Sample(text, "own/planted", (at, at + len(attack)))


def _faker(locale: str, seed: int) -> Faker:
    fake = Faker(locale)
    fake.seed_instance(seed)
    return fake


def library(count: int, seed: int) -> list[Sample]:
    """Return parts of the standard library's documentation and code."""
    root = Path(sysconfig.get_path("stdlib"))
    files = sorted(file for file in root.rglob("*.py") if not _BESIDE & set(file.relative_to(root).parts))
    texts = [*topics.values(), *(file.read_text(encoding="utf-8", errors="replace") for file in files)]
    parts = [Sample(text[at : at + _PART], "standard library") for text in texts for at in range(0, len(text), _PART)]
    return random.Random(seed).sample(parts, min(count, len(parts)))


_BESIDE: Final = {"site-packages", "test", "idlelib", "dist-packages"}


def packages() -> list[Sample]:
    """Return parts of the descriptions and licences of all installed packages; requirements.lock lists them."""
    texts: dict[str, None] = {}
    for package in sorted(distributions(), key=lambda each: each.name.lower()):
        files = sorted(file for file in package.files or () if _IS_TEXT.search(str(file)))
        texts.update(dict.fromkeys(file.read_text(encoding="utf-8") for file in files if Path(file.locate()).is_file()))
    parts = (text[at : at + _PART] for text in texts for at in range(0, len(text), _PART))
    return [Sample(part, "packages") for part in dict.fromkeys(parts)]


_IS_TEXT: Final = re.compile(r"\.dist-info/(METADATA|licenses/.*|LICEN[CS]E.*|COPYING.*|NOTICE.*)$")


def documentation(root: Path) -> Iterator[Sample]:
    """Yield parts of this repository's pages."""
    for file in sorted((root / "docs").rglob("*.md")):
        text = file.read_text(encoding="utf-8")
        yield from (Sample(text[at : at + _PART], "documentation") for at in range(0, len(text), _PART))
