"""The work on texts returns plain values, and stops where no topic would take its result."""

from __future__ import annotations

import marshal
import sys
import unicodedata

import pytest
from hypothesis import given

from consumers.guard.content import Content
from consumers.guard.marks import combining_marks
from consumers.guard.normalise import Normalise, normalise
from consumers.guard.text_tasks import SIZE_LIMIT, normal_change, normal_text, packed_views, text_task, unpacked_views
from consumers.guard.views import views_of
from schemas.errors import TooLargeError
from schemas.topics import INNER_LIMIT
from tests.unit.consumers.guard.fakes import context, hostile

pytestmark = pytest.mark.anyio

EVERY = tuple(char for char in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(char) != "Cs")


@given(hostile)
def test_a_task_has_the_result_of_its_function(text: str) -> None:
    """It is done elsewhere, and not otherwise."""
    normal = normalise(text)
    done = normal_text(text)
    assert (done.text, done.hidden) == (normal.text, normal.hidden)
    assert done.evidence == tuple((found.start, found.end) for found in normal.finds[:64])
    assert set(done.kinds) == {found.kind for found in normal.finds}


@given(hostile)
def test_a_text_comes_back_only_if_it_changed(text: str) -> None:
    """A normal text of a megabyte takes milliseconds of the event loop to read."""
    change = normal_change(text)
    assert change == (normal_text(text) if not change.same else normal_text(text)._replace(text="", same=True))
    assert change.same == (normalise(text).text == text)


@given(hostile)
def test_results_cross_a_pipe(text: str) -> None:
    """Both processes are of one Python."""
    for name, texts in (("normal_change", (text,)), ("packed_views", (text, text))):
        result = tuple(text_task(name)(*texts))
        assert marshal.loads(marshal.dumps(result)) == result  # noqa: S302 - our own bytes


@given(hostile)
def test_views_are_the_same_once_unpacked(text: str) -> None:
    """Detectors do not know where a view was computed."""
    views = views_of(f"%41{text}aWdub3JlIG1l", text)
    again = unpacked_views(packed_views(f"%41{text}aWdub3JlIG1l", text))
    assert [(view.kind, view.text, list(view.pieces)) for view in again] == [
        (view.kind, view.text, list(view.pieces)) for view in views
    ]


@pytest.mark.parametrize("char", ["\ufdfa", "\ufdfb"])
async def test_a_text_that_grows_beyond_every_topic_is_too_large(char: str) -> None:
    """The result could not be written. To compute it costs more than any other text of its size."""
    with pytest.raises(TooLargeError, match="shorten it"):
        await Normalise()(Content(char * 349_525), context())
    assert SIZE_LIMIT == INNER_LIMIT


def test_one_character_alone_grows_beyond_six_bytes_for_one() -> None:
    """Of the others a megabyte is normalised first, at a bounded cost."""
    ratios = {char: len(unicodedata.normalize("NFKC", char).encode()) / len(char.encode()) for char in EVERY}
    assert {char for char, ratio in ratios.items() if ratio > 6} == {"\ufdfa"}


def test_every_mark_is_known() -> None:
    """They are searched for in some blocks only; a later Unicode may add others."""
    assert combining_marks() == {char for char in EVERY if unicodedata.combining(char)}
