"""The map of what is done beyond the committed offset."""

from __future__ import annotations

import base64
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.offsets.offset_map import AHEAD, LIMIT, Committed, MapTooLongError, OffsetSet, decode, encode

bases = st.integers(0, 1 << 62)
positions = st.sets(st.integers(0, AHEAD - 1), max_size=400)


@given(bases, positions)
def test_a_map_says_what_it_was_told(base: int, places: set[int]) -> None:
    """Out of order or not, what is done is done after any crash."""
    done = {base + place for place in places}

    assert decode(base, encode(base, done)) == done


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 1.0])
def test_the_largest_map_fits_whatever_its_pattern(share: float) -> None:
    """A broker refuses longer metadata, and the producer with it (I3)."""
    chance = random.Random(share)
    done = {offset for offset in range(AHEAD) if chance.random() < share} | {AHEAD - 1}

    text = encode(7, {7 + offset for offset in done})

    assert len(text) <= LIMIT
    assert decode(7, text) == {7 + offset for offset in done}


def test_a_map_that_cannot_fit_is_never_sent() -> None:
    """It would end the producer; an error here names the reason."""
    chance = random.Random(1)
    with pytest.raises(MapTooLongError):
        encode(0, {chance.randrange(3 * AHEAD) for _ in range(AHEAD)})


def test_nothing_done_is_no_text() -> None:
    """Most commits have no map, and pay nothing for it."""
    assert encode(5, set()) == ""
    assert decode(5, "") == set()
    assert decode(5, None) == set()


@given(bases, positions.filter(bool), st.integers(-3, 3).filter(bool))
def test_a_map_of_another_base_is_ignored(base: int, places: set[int], shift: int) -> None:
    """Offsets reset by hand, or mirrored from another cluster: work is repeated, nothing is skipped (I16)."""
    text = encode(base, {base + place for place in places})

    assert decode(base + shift, text) == set()


@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda raw: raw.decode("latin-1")), bases)
def test_any_text_decodes_to_offsets_at_or_above_the_base(text: str, base: int) -> None:
    """Whatever somebody commits by hand, the worker starts."""
    assert all(offset >= base for offset in decode(base, text))


@given(st.binary(max_size=60), st.sampled_from(["b", "z"]))
def test_any_payload_decodes_to_offsets_at_or_above_the_base(payload: bytes, kind: str) -> None:
    """The same, past the header."""
    text = f"1{kind}5." + base64.b85encode(payload).decode()

    assert all(offset >= 5 for offset in decode(5, text))


@given(positions.filter(bool), st.data())
def test_a_map_that_was_cut_short_never_invents_offsets(places: set[int], data: st.DataObject) -> None:
    """A lost tail may repeat work; a wrong bit would lose a record."""
    text = encode(0, places)
    cut = data.draw(st.integers(0, len(text) - 1))

    assert decode(0, text[:cut]) <= places


def test_a_map_that_unfolds_without_end_is_ignored() -> None:
    """A few characters of hostile metadata must not fill the memory."""
    bomb = "1z0." + base64.b85encode(zlib.compress(bytes([255]) * 50_000_000, 9)).decode()

    assert decode(0, bomb) == set()


def test_a_commit_holds_what_is_below_it_and_what_its_map_says() -> None:
    """Visible means one of the two (I1)."""
    committed = Committed(10, {12})

    assert [committed.holds(offset) for offset in (9, 10, 11, 12, 13)] == [True, False, False, True, False]


near = st.sets(st.integers(1_000, 1_300), max_size=60)


@given(near, near, st.integers(900, 1_400), st.integers(900, 1_400))
def test_offsets_in_a_bitmap_are_a_set_like_any_other(first: set[int], second: set[int], low: int, lower: int) -> None:
    """Whatever base it has, and however it came about."""
    made = OffsetSet.of(first).plus(second, low)
    again = made.plus((), lower)

    assert made == {offset for offset in first | second if offset >= low}
    assert list(again) == sorted(offset for offset in made if offset >= lower)
    assert len(again) == len(set(again))
    assert all((offset in made) == (offset in set(made)) for offset in range(880, 1_420))
    assert (made | again, made & again) == (set(made), set(again))


def test_a_bitmap_holds_offsets_only() -> None:
    """It may be asked for anything, and is equal to sets alone."""
    some = OffsetSet.of([7, 9])

    assert [some.__contains__(each) for each in ("7", None, 6, 7)] == [False, False, False, True]
    assert some == OffsetSet().plus([9, 7], 3)
    assert hash(some) == hash(OffsetSet().plus([9, 7], 3))
    assert some != [7, 9]
    assert repr(some) == "OffsetSet.of([7, 9])"
