"""The arguments that a model wrote for a tool, validated before anything else sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from consumers.agent.tools.tool import Tool
from schemas.errors import ToolFailedError

SHOWN = 5
"""Errors that the model is told of."""

MESSAGE_LIMIT = 200
"""Characters of each of them."""


def validated(tool: Tool, arguments: str) -> Mapping[str, Any]:
    """Return the arguments by name. Raises ToolFailedError with a message that helps the model to correct them."""
    try:
        given = tool.signature.arguments.model_validate_json(arguments.strip() or "{}")
    except ValidationError as error:
        raise ToolFailedError(f"the arguments of {tool.name} are invalid: {_reasons(error)}") from None
    except (ValueError, RecursionError):
        raise ToolFailedError(f"the arguments of {tool.name} are not JSON") from None
    except Exception as error:
        message = f"the arguments of {tool.name} are invalid: {type(error).__name__}"
        raise ToolFailedError(message, detail=repr(error)) from error
    return {name: getattr(given, name) for name in type(given).model_fields}


def _reasons(error: ValidationError) -> str:
    found = error.errors(include_url=False, include_context=False, include_input=False)
    told = [f"{'.'.join(map(str, each['loc'])) or 'JSON'}: {each['msg']}"[:MESSAGE_LIMIT] for each in found[:SHOWN]]
    return "; ".join(told) + ("; ..." if len(found) > SHOWN else "")
