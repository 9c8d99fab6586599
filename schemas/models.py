"""The base classes of payloads: frozen, strict when written, and with bytes as base64."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, WithJsonSchema


class Payload(BaseModel):
    """A payload of the platform. Unknown fields are refused, so that a misspelt field is never dropped silently."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class TolerantPayload(BaseModel):
    """A payload of a client. Unknown fields are ignored, because newer clients may send new fields."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


def _unpack(value: Any) -> Any:  # noqa: ANN401 - a validator sees whatever was sent
    if not isinstance(value, str):
        return value
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error as error:
        message = "not base64"
        raise ValueError(message) from error


Base64: TypeAlias = Annotated[
    bytes,
    BeforeValidator(_unpack),
    PlainSerializer(lambda value: base64.b64encode(value).decode(), return_type=str),
    WithJsonSchema({"type": "string", "contentEncoding": "base64"}),
]
"""Bytes as base64 text in JSON."""
