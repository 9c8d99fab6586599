"""Agents: a name, and the function that answers requests to it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, TypeAlias, cast

from pydantic import TypeAdapter, ValidationError

from consumers.agent.run import Run
from schemas.tenants import AgentName

AgentFunction: TypeAlias = Callable[[str, Run], Awaitable[Any]]
AgentCallable: TypeAlias = AgentFunction | Callable[[str], Awaitable[Any]]
"""An ``async def`` of the text, or of the text and the run."""

_NAME: TypeAdapter[str] = TypeAdapter(AgentName)
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class AgentDefinitionError(ValueError):
    """The definition of an agent is invalid. Raised to the developer at start; never sent to a client."""


async def answer_with_model(text: str, run: Run) -> str:
    """Answer with one call of the agent's model."""
    return (await run.ask(text)).text


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent that a request names. Without its own ``answer``, it makes one call of its model."""

    name: str
    _: KW_ONLY
    instructions: str = ""
    """The model's system message."""

    model: str = "default"
    """Name of one of the worker's configured models."""

    description: str = ""
    answer: AgentFunction = field(default=answer_with_model, repr=False)

    def __post_init__(self) -> None:
        """Raise AgentDefinitionError if no request could use the name."""
        try:
            _NAME.validate_python(self.name)
        except ValidationError as error:
            message = f"an agent cannot be named {self.name!r}: 1 to 63 of a-z, 0-9, _ and -, and no _ or - in front"
            raise AgentDefinitionError(message) from error

    @classmethod
    def from_callable(
        cls,
        function: AgentCallable,
        *,
        name: str,
        instructions: str = "",
        model: str = "default",
        description: str = "",
    ) -> Agent:
        """Make an agent of an ``async def`` of (text) or (text, run); raise AgentDefinitionError for any other."""
        return cls(
            name,
            instructions=instructions,
            model=model,
            description=description or inspect.getdoc(function) or "",
            answer=_uniform(function, name),
        )


def agent(
    name: str, *, instructions: str = "", model: str = "default", description: str = ""
) -> Callable[[AgentCallable], Agent]:
    """Make the decorated function an Agent of this name: ``async def shout(text, run)``, or of the text alone."""

    def decorate(function: AgentCallable) -> Agent:
        return Agent.from_callable(function, name=name, instructions=instructions, model=model, description=description)

    return decorate


def _uniform(function: AgentCallable, name: str) -> AgentFunction:
    """Return the function as one of text and run."""
    if not _is_async(function):
        message = f"the agent {name!r} must be an `async def`: a plain function would hold up every other run"
        raise AgentDefinitionError(message)
    match _positional(function):
        case 2:
            return cast("AgentFunction", function)
        case 1:
            return _without_run(cast("Callable[[str], Awaitable[Any]]", function))
        case _:
            message = f"the agent {name!r} must take (text) or (text, run), and nothing else that has no default"
            raise AgentDefinitionError(message)


def _is_async(function: AgentCallable) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _positional(function: AgentCallable) -> int | None:
    """Return the number of arguments that it takes by position; None if it is not clear."""
    parameters = inspect.signature(function).parameters.values()
    ours = [each for each in parameters if each.kind in _POSITIONAL]
    optional = [each for each in parameters if each.kind is each.KEYWORD_ONLY and each.default is not each.empty]
    clear = len(ours) + len(optional) == len(parameters) and all(each.default is each.empty for each in ours)
    return len(ours) if clear else None


def _without_run(function: Callable[[str], Awaitable[Any]]) -> AgentFunction:
    async def answer(text: str, _run: Run) -> Any:  # noqa: ANN401 - an agent answers with what it likes
        return await function(text)

    return answer
