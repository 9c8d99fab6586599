"""The arguments of a tool call are guarded while they are written, string by string, and stay JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.guard.stream import HELD_LIMIT, StreamGuard
from consumers.guard.stream_arguments import StreamArguments
from consumers.guard.stream_normaliser import StreamNormaliser, SurrogatePairs
from consumers.guard.stream_redaction import StreamRedaction
from schemas.errors import BlockedError
from tests.unit.consumers.guard.live_words import ADDRESS, TOKEN, LiveWords
from tests.unit.consumers.guard.test_stream import SECRETS, named, whole

Json: TypeAlias = "str | float | list[Json] | dict[str, Json] | None"


def guard(context: str) -> StreamGuard:
    """Return the guard of one string."""
    return StreamGuard([SurrogatePairs(), StreamNormaliser(), StreamRedaction(LiveWords(), named, context)])


def streamed(text: str, *cuts: int) -> str:
    """Return all that leaves if the text is cut there."""
    stream = StreamArguments(guard)
    bounds = sorted({0, *(cut for cut in cuts if 0 < cut < len(text)), len(text)})
    return "".join([stream.feed(text[start:end]) for start, end in pairwise(bounds)] + [stream.finish()])


def redacted(value: Json) -> Json:
    """Return the arguments with every string and every name redacted as a whole."""
    match value:
        case str():
            return whole(value)
        case list():
            return [redacted(each) for each in value]
        case dict():
            return {whole(name): redacted(each) for name, each in value.items()}
        case _:
            return value


def spelled(text: str) -> str:
    """Return the JSON string in which every character is an escape."""
    units = text.encode("utf-16-be", "surrogatepass")
    return '"' + "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2)) + '"'


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_no_cut_of_the_arguments_lets_a_fragment_leave(secret: str) -> None:
    """The JSON is cut at every offset, within its escapes too."""
    value: Json = {"to": [f"a \\ \n{secret}"], "😀": {secret: 1.5e3, "ok": None}}
    expected = redacted(value)
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        assert all(json.loads(streamed(text, cut)) == expected for cut in range(len(text)))
        assert json.loads(streamed(text, *range(len(text)))) == expected
    assert json.loads(streamed(f"[{spelled(secret)}]", *range(10_000))) == [whole(secret)]


_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.sampled_from([*SECRETS.values()]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('abc \n"\\é', max_size=9), inner, max_size=3),
    max_leaves=8,
)


@given(
    _VALUES,
    st.sampled_from([json.dumps, partial(json.dumps, ensure_ascii=False)]),
    st.lists(st.integers(0, 300), max_size=8),
)
def test_every_split_of_every_json_gives_the_redaction_of_its_strings(
    value: Json, spell: Callable[[Json], str], cuts: list[int]
) -> None:
    """What is clean is not changed, and the result is JSON."""
    found = json.loads(streamed(spell(value), *cuts))
    assert found == redacted(value)


@given(st.text(alphabet="{}[]\",:\\u0041'ab19 \n" + TOKEN, max_size=60), st.lists(st.integers(0, 60), max_size=8))
def test_a_text_that_is_no_json_is_guarded_too(text: str, cuts: list[int]) -> None:
    """A model writes such texts. The cuts change nothing."""
    assert streamed(text, *cuts) == streamed(text)


@pytest.mark.parametrize(
    "text", ["{'a': 'X'}", '{"a": X', "X", '{"a": "b" X', '{"a": "X', '{"a": [X], b: "X"}', "{'a': 'x', 'b': 'X\"Y'}"]
)
@pytest.mark.parametrize("secret", [TOKEN, ADDRESS])
def test_no_secret_leaves_outside_of_a_string(text: str, secret: str) -> None:
    """A quote of another kind must not open a hole."""
    text = text.replace("X", secret)
    assert all(secret not in streamed(text, cut) for cut in range(len(text)))


def test_the_name_of_a_member_is_the_context_of_its_value() -> None:
    """A password has no form of its own."""
    text = '{"pass": "hunter2hunter2", "note": "hunter2hunter2", "pass" : ["hunter2hunter2", 1234567]}'
    expected = '{"pass": "<PASS>", "note": "hunter2hunter2", "pass" : ["<PASS>", 1234567]}'
    assert all(streamed(text, cut) == expected for cut in range(len(text)))


def test_a_redacted_number_becomes_a_string() -> None:
    """A placeholder is no number."""
    assert streamed('{"pass": 1234567, "n": -1.5e3}', 12) == '{"pass": "<PASS>", "n": -1.5e3}'


@pytest.mark.parametrize("text", ["1" * (HELD_LIMIT + 9), "'" + "a " * HELD_LIMIT, '"' + "a" * (HELD_LIMIT + 9)])
def test_arguments_that_would_be_held_for_ever_are_blocked(text: str) -> None:
    """The limit is that of any stream."""
    with pytest.raises(BlockedError, match="16 KiB"):
        streamed(text, *range(0, len(text), 50))
