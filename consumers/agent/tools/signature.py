"""The parameters of a tool, from the signature of its function."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

from consumers.agent.definition_error import AgentDefinitionError

RUN = "run"
IDEMPOTENCY_KEY = "idempotency_key"
INJECTED = (RUN, IDEMPOTENCY_KEY)
"""Parameters that the platform fills in. A model neither sees nor sets them."""

_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_UNSUITABLE = (*_VARIADIC, inspect.Parameter.POSITIONAL_ONLY)


@dataclass(frozen=True, slots=True)
class ToolSignature:
    """The parameters of a tool's function."""

    arguments: type[BaseModel]
    """Validates the arguments that a model wrote. Unknown names are refused."""

    injected: frozenset[str]
    """The parameters of ``INJECTED`` that the function takes."""

    schema: dict[str, Any]
    """The JSON Schema of the arguments, as models expect it."""


def signature_of(function: Callable[..., Any], name: str) -> ToolSignature:
    """Return the signature. Raises AgentDefinitionError for parameters without a type, ``*args`` or ``**kwargs``."""
    parameters = inspect.signature(function).parameters
    hints = _hints(function, name)
    fields: dict[str, Any] = {
        each.name: _field(each, hints, name) for each in parameters.values() if each.name not in INJECTED
    }
    arguments = _model(name, fields)
    schema = {"type": "object", "properties": {}, **arguments.model_json_schema()}
    schema.pop("title", None)
    return ToolSignature(arguments, frozenset(parameters) & frozenset(INJECTED), schema)


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    target = function if inspect.isfunction(function) or inspect.ismethod(function) else type(function).__call__
    try:
        return get_type_hints(target, include_extras=True)
    except NameError as error:
        message = f"the tool {name!r} has a type that does not exist at the top of its module: {error}"
        raise AgentDefinitionError(message) from error


def _field(parameter: inspect.Parameter, hints: dict[str, Any], name: str) -> tuple[Any, Any]:
    if parameter.kind in _UNSUITABLE:
        message = f"the tool {name!r} takes {parameter}: a model can set only named parameters"
        raise AgentDefinitionError(message)
    if parameter.name not in hints:
        message = f"the parameter {parameter.name!r} of the tool {name!r} needs a type: the model reads it"
        raise AgentDefinitionError(message)
    default = ... if parameter.default is parameter.empty else parameter.default
    return hints[parameter.name], default


def _model(name: str, fields: dict[str, Any]) -> type[BaseModel]:
    try:
        made: type[BaseModel] = create_model(f"{name}_arguments", __config__=ConfigDict(extra="forbid"), **fields)
        made.model_json_schema()
    except Exception as error:
        message = f"the parameters of the tool {name!r} have no JSON Schema: {error}".splitlines()[0]
        raise AgentDefinitionError(message) from error
    return made
