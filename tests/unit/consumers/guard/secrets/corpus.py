"""Where secrets are planted, and the texts that have none."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterable, Iterator
from urllib.parse import quote

from consumers.guard.finding import Finding
from tests.unit.consumers.guard.secrets.generated import PLACES, Planted, planted

SEEDS = range(2)


def secrets() -> Iterator[Planted]:
    """Yield a secret of each format, for some seeds."""
    for seed in SEEDS:
        yield from planted(random.Random(seed))


def placed() -> Iterator[tuple[str, Planted, str, int, int]]:
    """Yield each secret in each place: the place, the secret, the text, and the secret's span."""
    for each in secrets():
        for name, place in PLACES.items():
            text = place.format(each.text)
            start = text.index(each.text) + len(each.before)
            yield name, each, text, start, start + len(each.secret)


def encodings(text: str) -> Iterator[str]:
    """Yield the text in base64, with and without its padding, and in percent-encoding, of some and of all bytes."""
    encoded = base64.b64encode(text.encode()).decode()
    yield encoded
    yield encoded.rstrip("=")
    yield quote(text, safe="")
    yield "".join(f"%{byte:02x}" for byte in text.encode())


def covers(found: Iterable[Finding], start: int, end: int) -> bool:
    """Return True if the findings cover the whole span."""
    for each in sorted(found, key=lambda one: one.start):
        if each.start <= start < each.end:
            start = each.end
    return start >= end
