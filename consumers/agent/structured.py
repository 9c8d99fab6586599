"""Structured answers: a model's JSON as a value of the agent's output type."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from pydantic import TypeAdapter, ValidationError

from schemas.errors import ModelUnreadableError

_FENCE = re.compile(r"\s*```[a-zA-Z]*\n(.*)\n```\s*", re.DOTALL)


@lru_cache(maxsize=256)
def adapter_of(output: Any) -> TypeAdapter[Any]:  # noqa: ANN401 - a type
    """Return the validator of an output type."""
    return TypeAdapter(output)


@lru_cache(maxsize=256)
def instructions_for(output: Any) -> str:  # noqa: ANN401 - a type
    """Return the instruction that asks a model for JSON of this type. It works with every provider."""
    schema = json.dumps(adapter_of(output).json_schema(), separators=(",", ":"))
    return f"Answer with one JSON value and nothing else. It must be valid by this JSON Schema: {schema}"


def parsed(output: Any, text: str) -> Any:  # noqa: ANN401 - of the type
    """Return the value in a model's answer. Raises ModelUnreadableError, whose message helps the model."""
    fenced = _FENCE.fullmatch(text)
    try:
        return adapter_of(output).validate_json(fenced[1] if fenced else text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = ".".join(map(str, first["loc"])) or "the answer"
        raise ModelUnreadableError(
            f"the model's answer is not of the agent's output type: {place}: {first['msg']}"
        ) from None
