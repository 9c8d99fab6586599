"""What an agent returned, as the JSON that the client will read."""

from __future__ import annotations

from typing import Any

from pydantic_core import from_json, to_json

from schemas.errors import InternalError


def as_json(output: object, agent: str) -> Any:  # noqa: ANN401 - JSON is whatever it is
    """The output as plain values: models and dataclasses as objects, times as text.

    Raises InternalError for what JSON does not hold: numbers that are none, broken text, circles, arbitrary objects.
    """
    try:
        return from_json(to_json(output, inf_nan_mode="constants"), allow_inf_nan=False)
    except ValueError as error:
        message = f"the agent {agent!r} returned a {type(output).__name__} that is not JSON"
        raise InternalError(message, detail=type(error).__name__) from error
