"""The arguments that a model wrote for a tool, validated before anything else sees them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from consumers.agent.tools.tool import Tool
from consumers.placeholders import restored
from schemas.errors import ToolFailedError

NO_PLACEHOLDERS: Final[Mapping[str, str]] = MappingProxyType({})

SHOWN = 5
"""Errors that the model is told of."""

MESSAGE_LIMIT = 200
"""Characters of each of them."""


def validated(tool: Tool, arguments: str, placeholders: Mapping[str, str] = NO_PLACEHOLDERS) -> Mapping[str, Any]:
    """Return the arguments by name. Raises ToolFailedError with a message that helps the model to correct them.

    The message has *placeholders* instead of the personal data that they stand for: a validator may quote it.
    """
    try:
        given = tool.signature.arguments.model_validate_json(arguments.strip() or "{}")
    except ValidationError as error:
        raise ToolFailedError(f"the arguments of {tool.name} are invalid: {_reasons(error, placeholders)}") from None
    except (ValueError, RecursionError):
        raise ToolFailedError(f"the arguments of {tool.name} are not JSON") from None
    except Exception as error:
        message = f"the arguments of {tool.name} are invalid: {type(error).__name__}"
        raise ToolFailedError(message, detail=repr(error)) from error
    return {name: getattr(given, name) for name in type(given).model_fields}


class ToolArguments(NamedTuple):
    """The arguments of one call, by name."""

    shown: Mapping[str, Any]
    """With placeholders, for policies and guards; plain JSON values if the placeholders are not valid values."""

    real: Mapping[str, Any]
    """With the personal data, for the tool alone."""


def arguments_of(tool: Tool, written: str, placeholders: Mapping[str, str]) -> ToolArguments:
    """Return the validated arguments, whose *placeholders* stand for personal data. Raises as ``validated``."""
    given, real = _restored(written, placeholders)
    if real == given:
        arguments = validated(tool, written)
        return ToolArguments(arguments, arguments)
    checked = validated(tool, to_json(real).decode(), placeholders)
    try:
        return ToolArguments(validated(tool, written), checked)
    except ToolFailedError:
        return ToolArguments(given, checked)


def _restored(written: str, placeholders: Mapping[str, str]) -> tuple[Any, Any]:
    """Return the parsed arguments without and with the personal data; equal values if there is none."""
    if not placeholders:
        return None, None
    try:
        given = from_json(written)
    except ValueError:
        return None, None
    return given, restored(given, placeholders)


def _masked(text: str, placeholders: Mapping[str, str]) -> str:
    for name, value in placeholders.items():
        text = re.sub(re.escape(value), name, text, flags=re.IGNORECASE)
    return text


def _reasons(error: ValidationError, placeholders: Mapping[str, str]) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    reasons = [f"{'.'.join(map(str, each['loc'])) or 'JSON'}: {each['msg']}" for each in found[:SHOWN]]
    told = [_masked(each, placeholders)[:MESSAGE_LIMIT] for each in reasons]  # a cut value would not be masked
    return "; ".join(told) + ("; ..." if len(found) > SHOWN else "")
