"""Bytes in JSON, and what every payload has in common."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.models import Base64, Payload, TolerantPayload


class Parcel(Payload):
    content: Base64
    note: Base64 | None = None
    weight: float = 0


class Letter(TolerantPayload):
    weight: float = 0


@given(content=st.binary(max_size=64))
def test_bytes_come_back_from_json_as_they_went_in(content: bytes) -> None:
    """Keys and correlation ids are any bytes."""
    parcel = Parcel(content=content, note=content)

    written = parcel.model_dump_json()

    assert json.loads(written)["content"] == base64.b64encode(content).decode()
    assert Parcel.model_validate_json(written) == parcel


@pytest.mark.parametrize("text", ['"no base64!"', '"e30"', '"ä"', "5", "[]", "true"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    """With pydantic's error, as any other misfit."""
    with pytest.raises(ValidationError):
        Parcel.model_validate_json(f'{{"content": {text}}}')


def test_the_schema_of_bytes_is_a_text_in_base64() -> None:
    """Readers in other languages know what to do."""
    for schema in (Parcel.model_json_schema(mode="validation"), Parcel.model_json_schema(mode="serialization")):
        assert schema["properties"]["content"] == {"type": "string", "contentEncoding": "base64", "title": "Content"}


def test_an_unknown_field_is_refused_or_left_aside() -> None:
    """Ours are exact; what others write may be newer than we are."""
    with pytest.raises(ValidationError, match="extra"):
        Parcel.model_validate({"content": b"", "colour": "blue"})

    assert Letter.model_validate({"colour": "blue"}) == Letter()


@pytest.mark.parametrize("model", [Letter, Parcel])
@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_json_cannot_say_is_refused(model: type[Payload], text: str) -> None:
    """It would be written as null, and read as nothing."""
    with pytest.raises(ValidationError, match="finite"):
        model.model_validate_json(f'{{"content": "", "weight": {text}}}')
