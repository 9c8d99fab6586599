"""Tools: functions that a model may call."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal, TypeAlias, TypedDict, Unpack, overload

from consumers.agent.definition_error import AgentDefinitionError
from consumers.agent.models.port import ToolSpec
from consumers.agent.tools.signature import IDEMPOTENCY_KEY, ToolSignature, signature_of

Risk: TypeAlias = Literal["read_only", "data_modification", "irreversible"]
ToolFunction: TypeAlias = Callable[..., Any]
"""An ``async def``, or a plain ``def`` that runs in a thread. It returns JSON values or pydantic models."""

NAME = re.compile("[a-zA-Z0-9_-]{1,64}")
"""Names that every provider accepts."""

RESULT_LIMIT = 64 * 1024
"""Default bytes of one result. A model pays for each of them at each further step."""

_RISKS = ("read_only", "data_modification", "irreversible")


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that a model may call."""

    name: str
    function: ToolFunction = field(repr=False)
    _: KW_ONLY
    description: str = ""
    """The text by which a model decides. The function's docstring by default."""

    risk: Risk = "data_modification"
    capability: str = ""
    """The capability that a run must hold to use the tool; empty for none."""

    timeout: float = 30.0
    """Seconds for one call."""

    result_limit: int = RESULT_LIMIT
    """Bytes of one result as text. A longer result is cut, and the model is told."""

    idempotent: bool = False
    """True if a repeated call with the same arguments changes nothing more."""

    trusted: bool = False
    """True if its results cannot contain other people's instructions."""

    signature: ToolSignature = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Raise AgentDefinitionError if a model could not use the tool."""
        if not NAME.fullmatch(self.name):
            message = f"a tool cannot be named {self.name!r}: 1 to 64 of a-z, A-Z, 0-9, _ and -"
            raise AgentDefinitionError(message)
        if self.risk not in _RISKS:
            message = f"the risk of the tool {self.name!r} is {self.risk!r}: one of {', '.join(_RISKS)}"
            raise AgentDefinitionError(message)
        if not (self.timeout > 0 and self.result_limit > 0):
            message = f"the timeout and the result_limit of the tool {self.name!r} must be above zero"
            raise AgentDefinitionError(message)
        if inspect.isgeneratorfunction(self.function) or inspect.isasyncgenfunction(self.function):
            message = f"the tool {self.name!r} must return its result, and it yields"
            raise AgentDefinitionError(message)
        object.__setattr__(self, "signature", signature_of(self.function, self.name))

    @property
    def is_async(self) -> bool:
        """True if the function is an ``async def``."""
        return inspect.iscoroutinefunction(self.function) or inspect.iscoroutinefunction(type(self.function).__call__)

    @property
    def repeatable(self) -> bool:
        """True if a call whose outcome is unknown may be made again.

        The tool is read-only or idempotent, or it takes an ``idempotency_key``, by which it recognises the repetition.
        """
        return self.risk == "read_only" or self.idempotent or IDEMPOTENCY_KEY in self.signature.injected

    @property
    def spec(self) -> ToolSpec:
        """Return the tool as a model sees it."""
        return ToolSpec(self.name, self.description, self.signature.schema)


class ToolSettings(TypedDict, total=False):
    """Fields of a Tool, for ``@tool``."""

    name: str
    description: str
    risk: Risk
    capability: str
    timeout: float
    result_limit: int
    idempotent: bool
    trusted: bool


@overload
def tool(function: ToolFunction, /) -> Tool: ...
@overload
def tool(**settings: Unpack[ToolSettings]) -> Callable[[ToolFunction], Tool]: ...
def tool(
    function: ToolFunction | None = None, /, **settings: Unpack[ToolSettings]
) -> Tool | Callable[[ToolFunction], Tool]:
    """Make the decorated function a Tool: ``@tool`` or ``@tool(risk="read_only", timeout=10)``.

    Name, description and parameters come from the function. Parameters named ``run`` and ``idempotency_key`` are filled
    in by the platform. Raises AgentDefinitionError if a model could not use the function.
    """

    def decorate(function: ToolFunction) -> Tool:
        own: ToolSettings = {
            "name": getattr(function, "__name__", type(function).__name__),
            "description": inspect.getdoc(function) or "",
        }
        own |= settings
        return Tool(function=function, **own)

    return decorate if function is None else decorate(function)
