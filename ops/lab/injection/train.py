"""Train the classifier of the injection guard: ``python -m ops.lab.injection.train FOLDER``.

The folder has ``injection.jsonl.gz`` and ``benign.jsonl.gz``; docs/reference/guards.md names their origin. The result is
the same for the same seed, folder and versions of Python and the libraries. It first fits twice with half of the
sources, and judges the other half. Then it fits with all texts, and writes the weights. It takes some minutes.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Final

import consumers.guard.injection.classifier as shipped
from ops.lab.injection.fit import classifier_of, fit, save
from ops.lab.injection.halves import half
from ops.lab.injection.samples import INTENTS, Sample, documentation, given, library, own, packages
from ops.lab.injection.tables import shares, table

ROOT: Final = Path(__file__).parents[3]
WEIGHTS: Final = Path(shipped.__file__).with_name(shipped.WEIGHTS)

SEED: Final = 20
FIRST_HALF: Final = frozenset({"s-labs", "clinc/oos-eval"})
"""Given sources of one half; the others are the other half."""

SEED_TASKS: Final = "self-instruct/seed_tasks"
REPEATED: Final = 8
"""Times that the few general tasks count: they are the most varied requests."""

INTENTS_USED: Final = 0.4
LIBRARY: Final = 8_000
TESTED: Final = 700
"""Texts of each source that are judged."""

TEST_SCALE: Final = 0.1


def training(rows: Sequence[Sample], made: Iterable[Sample]) -> list[Sample]:
    """Return the texts for one fit."""
    chance = random.Random(SEED)
    chosen = [each for each in rows if each.source not in INTENTS or chance.random() < INTENTS_USED]
    tasks = [each for each in rows if each.source == SEED_TASKS]
    return [*chosen, *tasks * (REPEATED - 1), *made, *library(LIBRARY, SEED), *packages(), *documentation(ROOT)]


def few(samples: Iterable[Sample]) -> list[Sample]:
    """Return at most TESTED texts of each source and kind."""
    chance = random.Random(SEED)
    by_source: dict[tuple[str, bool], list[Sample]] = defaultdict(list)
    for sample in samples:
        by_source[sample.source, sample.attack is not None].append(sample)
    return list(chain.from_iterable(chance.sample(each, min(TESTED, len(each))) for each in by_source.values()))


def held_out(rows: Sequence[Sample], number: int) -> None:
    """Fit with one half of the sources and templates, and print the table of the other half."""
    ours = [each for each in rows if (each.source in FIRST_HALF) == (number == 0)]
    others = [each for each in rows if (each.source in FIRST_HALF) != (number == 0)]
    with half(number):
        made = list(own(SEED))
    with half(1 - number):
        unseen = list(own(SEED + 1, TEST_SCALE))
    fitted = fit(training(ours, made), SEED)
    show(f"Held out, half {number + 1}", few(chain(others, unseen)), classifier_of(fitted))


def show(title: str, samples: Iterable[Sample], classifier: shipped.Classifier | None) -> None:
    """Print the table of the samples."""
    sys.stdout.write("\n".join((f"\n{title}\n", *table(shares(samples, classifier)), "")))
    sys.stdout.flush()


def main() -> None:
    """Train, print the tables and write the weights."""
    parser = argparse.ArgumentParser(description="Train the classifier of the injection guard.")
    parser.add_argument("folder", type=Path, help="folder with injection.jsonl.gz and benign.jsonl.gz")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="file to write (default: the shipped one)")
    parser.add_argument("--quick", action="store_true", help="without the fits with half of the sources")
    chosen = parser.parse_args()
    rows = list(given(chosen.folder))
    for number in () if chosen.quick else (0, 1):
        held_out(rows, number)
    everything = training(rows, list(own(SEED)))
    fitted = fit(everything, SEED)
    save(fitted, chosen.out)
    show("Trained on", few(everything), classifier_of(fitted))


if __name__ == "__main__":
    main()
