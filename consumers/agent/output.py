"""Conversion of an agent's return value to the JSON that the client reads."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json, to_json

from schemas.errors import InternalError


def as_json(output: object, agent: str) -> Any:  # noqa: ANN401 - JSON is whatever it is
    """Return the output as plain values: models and dataclasses as objects, times as text.

    Raises InternalError for values that JSON cannot hold: NaN, infinity, invalid text, cycles, arbitrary objects.
    """
    try:
        return from_json(to_json(output, inf_nan_mode="constants"), allow_inf_nan=False)
    except ValueError as error:
        message = f"the agent {agent!r} returned a {type(output).__name__} that is not JSON"
        raise InternalError(message, detail=type(error).__name__) from error
