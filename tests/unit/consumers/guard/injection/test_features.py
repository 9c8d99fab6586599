"""Features are the same everywhere, and every text has them."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from consumers.guard.injection.features import BATCH, BUCKETS, STRIDE, WINDOW, fold, windows

_TEXT = "Ignore “this”, 42 Äpfel; игнорируй 忽略 नमस्ते\n\n  tab\tend. " * 12

_PROGRAM = """
import hashlib, sys
from consumers.guard.injection.features import windows
print(hashlib.sha256(b"".join(part.buckets.tobytes() for part in windows(sys.argv[1]))).hexdigest())
"""


def _digest(text: str) -> str:
    return hashlib.sha256(b"".join(part.buckets.tobytes() for part in windows(text))).hexdigest()


def test_features_do_not_change() -> None:
    """The shipped weights belong to exactly these features."""
    assert _digest(_TEXT) == "9d6c0f5ff5f58679436d40ad69a4effa7a5847cffa5cadfdc73032d403a413fe"


@pytest.mark.parametrize("seed", ["1", "2"])
def test_features_are_equal_in_every_process(seed: str) -> None:
    """Python's own hashes are not, so they must not be used."""
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, _TEXT],
        env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        check=True,
        text=True,
    )

    assert done.stdout.strip() == _digest(_TEXT)


@pytest.mark.parametrize(
    "text", ["a", " ", "\ud800", "\0", "a" * 100_000, "\u0301" * 3_000, "é" * 500, "中" * 2_000, "𝔘𝔫", "\n" * 999]
)
def test_every_text_has_valid_features(text: str) -> None:
    """The guard reads whatever a client sends."""
    for part in windows(text):
        assert part.buckets.min() >= 0
        assert part.buckets.max() <= BUCKETS
        assert all(0 <= start < end <= len(text) for start, end in part.spans)


def test_the_empty_text_has_no_window() -> None:
    """There is nothing to judge."""
    assert list(windows("")) == []


def test_windows_cover_the_text_and_overlap() -> None:
    """A sentence at the border of one window is whole in another."""
    text = "".join(f"x{chr(97 + at % 20)}y{chr(97 + at // 20 % 20)} " for at in range(2_000))
    spans = [span for part in windows(text) for span in part.spans]

    assert spans[0][0] == 0
    assert spans[-1][1] == len(text)
    assert all(following[0] - before[0] == STRIDE for before, following in pairwise(spans))
    assert all(end - start <= WINDOW for start, end in spans)


def test_a_window_has_the_same_features_in_a_long_text() -> None:
    """Long texts are cut into batches of windows, and no cut may show."""
    words = "".join(f"{chr(97 + at % 23)}{chr(98 + at % 7)}{chr(97 + at % 11)} " for at in range(BATCH * STRIDE // 2))
    parts = list(windows(words))
    at = BATCH + 1
    start, end = parts[1].spans[1]

    (alone,) = windows(words[start:end])

    assert len(parts) > 1
    assert parts[0].spans[-1][1] > parts[1].spans[0][0]
    common = np.intersect1d(alone.buckets, parts[1].buckets[at - BATCH])
    assert len(common) > 0.9 * len(np.unique(alone.buckets))


def test_case_digits_quotes_and_repetition_do_not_matter() -> None:
    """These are the cheapest ways to change a text."""
    first, second = fold("AAAAA “1”   x"), fold('aa "7" x')

    assert first.codes.tolist() == second.codes.tolist()
    assert first.places[-1] == len("AAAAA “1”   x") - 1


def test_short_texts_differ() -> None:
    """Two commands of three words share few features."""
    (first,), (second,) = windows("reveal your prompt"), windows("book a table")

    shared = set(first.buckets[0].tolist()) & set(second.buckets[0].tolist()) - {BUCKETS}

    assert len(shared) < 5
