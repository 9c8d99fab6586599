"""Two requests have one identity only if every part of it is the same."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from schemas.admissions import AdmissionEvent, AdmissionKey, Identity, request_key, serving_key
from schemas.records import Partition

PARTS = ("tenant", "issuer", "subject", "source", "id")
short = st.text("ab|:/\x00é", max_size=4)


def _identity(*parts: str) -> Identity:
    return Identity(**dict(zip(PARTS, parts, strict=True)))


@given(one=st.tuples(*[short] * 5), other=st.tuples(*[short] * 5))
def test_different_parts_never_meet_in_one_digest(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    """Each part is framed by its length, so no text flows over into the next."""
    assert (_identity(*one).digest == _identity(*other).digest) == (one == other)


@given(text=st.text("ab|", min_size=1, max_size=6), cut=st.integers(0, 5), place=st.integers(0, 3))
def test_moving_the_border_of_two_parts_makes_another_identity(text: str, cut: int, place: int) -> None:
    """``a`` + ``bc`` is not ``ab`` + ``c``: a client must not be able to answer for another."""
    here, there = (text[:cut], text[cut:]), (text, "")
    one = ["", "", "", "", ""]
    other = list(one)
    one[place : place + 2], other[place : place + 2] = here, there

    assert (_identity(*one).digest == _identity(*other).digest) == (here == there)


def test_the_digest_is_the_same_in_every_version() -> None:
    """It is the run's id and the inbox's key: changing it would execute everything in flight again."""
    identity = _identity("acme", "topic", "acme", "/shop", "r1")

    assert identity.digest == "2738a3235ba0c11b563d15905072b7f9"
    assert request_key(identity) == f"acme|{identity.digest}"


def test_what_is_served_is_no_request() -> None:
    """The two kinds of key share a topic."""
    key = serving_key("acme", Partition("tenants.acme.requests", 0))

    assert key == "acme|serving|tenants.acme.requests:0"
    assert key.count("|") != request_key(_identity("acme", "", "", "", "")).count("|")


def test_an_entry_survives_the_wire() -> None:
    """As it is written: without what is None."""
    admission = AdmissionKey(key="acme|0", body="b", lane="l", request_id="r1", deadline_ms=5)
    for entry in (AdmissionEvent(state="open", admission=admission), AdmissionEvent(state="serving")):
        assert AdmissionEvent.model_validate_json(entry.model_dump_json(exclude_none=True)) == entry
