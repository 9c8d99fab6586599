"""PyPI's detect-secrets as a second opinion: it finds no secret that the guard misses, and cries no less often."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from detect_secrets.core.scan import scan_file
from detect_secrets.settings import default_settings

from consumers.guard.finding import findings
from consumers.guard.secrets.task import detector_of
from tests.contract.planted import ROOT
from tests.unit.consumers.guard.secrets.corpus import secrets
from tests.unit.consumers.guard.secrets.generated import PLACES
from tests.unit.consumers.guard.secrets.test_benign import PLACEHOLDERS, SIZE, SORTS

DETECTOR = detector_of()


def _second(tmp_path: Path, lines: list[str]) -> Iterator[tuple[int, str, str]]:
    """Yield its findings: the line, the type and the value."""
    file = tmp_path / "corpus.py"
    file.write_text("\n".join(lines), encoding="utf-8")
    with default_settings():
        for found in scan_file(str(file)):
            yield found.line_number - 1, found.type, found.secret_value or ""


def _texts(*places: str) -> list[str]:
    texts = [PLACES[place].format(each.text) for place in places for each in secrets()]
    return [line for text in texts for line in text.split("\n")]


def test_it_finds_no_generated_secret_that_the_guard_misses(tmp_path: Path) -> None:
    """Its rules come from other authors, so they test ours."""
    lines = _texts("alone", "python", "JSON", "YAML")
    starts = [0, *accumulate(len(line) + 1 for line in lines)]
    spans = [(each.start, each.end) for each in DETECTOR.detect("\n".join(lines))]  # a key block has many lines
    second = list(_second(tmp_path, lines))
    missed: set[tuple[str, str]] = set()
    for number, kind, value in second:
        start = starts[number] + lines[number].find(value)
        if not any(first < start + len(value) and start < last for first, last in spans):
            missed.add((kind, value))
    assert len(second) > 200
    assert missed == set()


def test_the_guard_has_fewer_findings_on_benign_text(tmp_path: Path) -> None:
    """Its rules of entropy find hashes and identifiers."""
    chance = random.Random(5)
    generated = [line for make in SORTS.values() for _ in range(SIZE // 4) for line in make(chance).split("\n")]
    sources = [(ROOT / path).read_text(encoding="utf-8") for path in ("ops/settings.py", "docs/reference/settings.md")]
    lines = [*generated, *PLACEHOLDERS, *(line for text in sources for line in text.split("\n"))]

    second = len({number for number, _, _ in _second(tmp_path, lines)})
    ours = sum(bool(findings(DETECTOR.detect, line)) for line in lines)

    assert ours == 0
    assert second > 0
