"""Agents: a name, instructions, a model, tools, and the function that answers requests."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, Literal, TypeAlias, TypedDict, Unpack, cast

from pydantic import TypeAdapter, ValidationError

from consumers.agent.code_places import defined_at
from consumers.agent.definition_error import AgentDefinitionError
from consumers.agent.handoff import ASK, Handoff
from consumers.agent.middleware import Middleware
from consumers.agent.planners.port import Planner
from consumers.agent.run import Run
from consumers.agent.run_limits import RunLimits
from consumers.agent.tools.tool import Tool, ToolFunction, tool
from schemas.tenants import AgentName

AgentFunction: TypeAlias = Callable[[str, Run], Awaitable[Any]]
AgentCallable: TypeAlias = Callable[[str, Run], Any] | Callable[[str], Any]
"""A function of the text, or of the text and the run: an ``async def``, or a ``def`` that runs in a thread."""

_NAME: TypeAdapter[str] = TypeAdapter(AgentName)
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


MemoryName: TypeAlias = Literal["session"]
MEMORIES: tuple[MemoryName, ...] = ("session",)
DEFAULT_LIMITS = RunLimits()


class AgentSettings(TypedDict, total=False):
    """Further fields of an Agent, for ``@agent``."""

    tools: Sequence[Tool | ToolFunction | str]
    handoffs: Sequence[Handoff | str]
    delegates: Sequence[str]
    memory: Sequence[MemoryName]
    memory_tokens: int
    planner: str | Planner
    output: Any
    limits: RunLimits
    capabilities: frozenset[str] | None
    middleware: Sequence[Middleware]


async def respond(text: str, run: Run) -> Any:  # noqa: ANN401 - a text, or what the agent's ``output`` says
    """Answer with the agent's model and tools, as its planner decides."""
    return await run.respond(text)


@dataclass(frozen=True, slots=True)
class Agent:
    """The agent that a request names. Without its own ``answer``, its planner drives its model and tools."""

    name: str
    _: KW_ONLY
    instructions: str = ""
    """The model's system message."""

    model: str = "default"
    """Name of one of the worker's configured models."""

    description: str = ""
    tools: Sequence[Tool | ToolFunction | str] = ()
    """Tools that its model may call. A function becomes a tool with the defaults of ``@tool``; a name is a plugin's."""

    handoffs: Sequence[Handoff | str] = ()
    """Agents that may take over the conversation. A name becomes a Handoff that carries the whole conversation."""

    delegates: Sequence[str] = ()
    """Agents that answer a question as a tool would."""

    memory: Sequence[MemoryName] = ()
    """``session``: the conversation so far of the request's session."""

    memory_tokens: int = 8_000
    """Tokens of the conversation that its model reads. Older exchanges become a summary."""

    planner: str | Planner = "react"
    """Name of a planner, or a function of the state."""

    output: Any = None
    """Type of the answer, such as a pydantic model. The model is asked for its JSON. None: a text."""

    limits: RunLimits = DEFAULT_LIMITS
    capabilities: frozenset[str] | None = None
    """Capabilities that a run of this agent holds. A handoff can only narrow them. None does not narrow."""

    middleware: Sequence[Middleware] = ()
    """Wrappers of the agent's operations; the first is the outermost."""

    answer: AgentFunction = field(default=respond, repr=False)
    toolbox: tuple[Tool, ...] = field(init=False, repr=False)
    """The tools, all as Tool; without those of plugins until ``with_tools`` adds them."""

    transfers: tuple[Handoff, ...] = field(init=False, repr=False)
    """The handoffs, all as Handoff."""

    place: str = field(default="", init=False, repr=False, compare=False)
    """The line of the user's code that defines it, as ``FILE:LINE``. Empty for Headrace's own agents."""

    def __post_init__(self) -> None:
        """Bring lists and names into their final form. Raises AgentDefinitionError for a definition without use."""
        object.__setattr__(self, "place", defined_at(__name__))
        try:
            _NAME.validate_python(self.name)
        except ValidationError as error:
            message = f"an agent cannot be named {self.name!r}: 1 to 63 of a-z, 0-9, _ and -, and no _ or - in front"
            raise AgentDefinitionError(message) from error
        self._check_lists()
        transfers = tuple(each if isinstance(each, Handoff) else Handoff(each) for each in self.handoffs)
        object.__setattr__(self, "toolbox", tuple(_as_tool(each) for each in self.tools if not isinstance(each, str)))
        object.__setattr__(self, "transfers", transfers)
        self._check_names()
        if unknown := set(self.memory) - set(MEMORIES):
            message = f"the agent {self.name!r} has an unknown memory {unknown.pop()!r}: there is {MEMORIES[0]!r}"
            raise AgentDefinitionError(message)

    def _check_lists(self) -> None:
        """Raise AgentDefinitionError for a text in the place of a list of names: it would be a list of letters."""
        for field_name in ("tools", "handoffs", "delegates", "memory"):
            if isinstance(given := getattr(self, field_name), str):
                message = f"the {field_name} of the agent {self.name!r} must be a list: [{given!r}]"
                raise AgentDefinitionError(message)

    def _check_names(self) -> None:
        names = [each.name for each in self.toolbox] + [each for each in self.tools if isinstance(each, str)]
        names += [each.tool_name for each in self.transfers] + [f"{ASK}{each}" for each in self.delegates]
        for name in names:
            if names.count(name) > 1:
                message = f"the agent {self.name!r} has two tools named {name!r}"
                raise AgentDefinitionError(message)

    def with_tools(self, find: Callable[[str], Tool]) -> Agent:
        """Return the agent with the tools that it has by name, found by *find*."""
        if not any(isinstance(each, str) for each in self.tools):
            return self
        found = copy.copy(self)
        tools = tuple(find(each) if isinstance(each, str) else _as_tool(each) for each in self.tools)
        object.__setattr__(found, "toolbox", tools)
        return found

    @property
    def has_function(self) -> bool:
        """True if it answers by a function of its own."""
        return self.answer is not respond

    @property
    def keeps_journal(self) -> bool:
        """True if its runs have steps that a resumed run must not repeat."""
        return bool(self.tools or self.handoffs or self.delegates or self.memory)

    @classmethod
    def from_callable(
        cls,
        function: AgentCallable,
        *,
        name: str,
        instructions: str = "",
        model: str = "default",
        description: str = "",
        **settings: Unpack[AgentSettings],
    ) -> Agent:
        """Make an agent of a function of (text) or (text, run); raise AgentDefinitionError for any other.

        *settings* are further fields of the agent, such as ``tools``.
        """
        return cls(
            name,
            instructions=instructions,
            model=model,
            description=description or inspect.getdoc(function) or "",
            answer=_uniform(function, name),
            **settings,
        )


def agent(
    name: str,
    *,
    instructions: str = "",
    model: str = "default",
    description: str = "",
    **settings: Unpack[AgentSettings],
) -> Callable[[AgentCallable], Agent]:
    """Make the decorated function an Agent of this name: ``async def shout(text, run)``, or of the text alone.

    *settings* are further fields of the agent, such as ``tools``: the function reaches them by ``run.respond``.
    """

    def decorate(function: AgentCallable) -> Agent:
        return Agent.from_callable(
            function, name=name, instructions=instructions, model=model, description=description, **settings
        )

    return decorate


def _as_tool(given: Tool | ToolFunction) -> Tool:
    return given if isinstance(given, Tool) else tool(given)


def _uniform(function: AgentCallable, name: str) -> AgentFunction:
    """Return the function as one of text and run. A plain function runs in a thread of the worker's pool."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise AgentDefinitionError(f"the agent {name!r} must return its answer, and it yields")
    match _positional(function):
        case 2:
            answer = cast("Callable[[str, Run], Any]", function)
        case 1:
            answer = _without_run(cast("Callable[[str], Any]", function))
        case _:
            message = f"the agent {name!r} must take (text) or (text, run), and nothing else that has no default"
            raise AgentDefinitionError(message)
    return answer if _is_async(function) else _in_thread(answer)


def _is_async(function: AgentCallable) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)


def _positional(function: AgentCallable) -> int | None:
    """Return the number of arguments that it takes by position; None if it is not clear."""
    parameters = inspect.signature(function).parameters.values()
    ours = [each for each in parameters if each.kind in _POSITIONAL]
    optional = [each for each in parameters if each.kind is each.KEYWORD_ONLY and each.default is not each.empty]
    clear = len(ours) + len(optional) == len(parameters) and all(each.default is each.empty for each in ours)
    return len(ours) if clear else None


def _without_run(function: Callable[[str], Any]) -> Callable[[str, Run], Any]:
    def answer(text: str, _run: Run) -> Any:  # noqa: ANN401 - an agent answers with what it likes
        return function(text)

    return answer


def _in_thread(function: Callable[[str, Run], Any]) -> AgentFunction:
    async def answer(text: str, run: Run) -> Any:  # noqa: ANN401 - as above
        made = await run.threads.run(function, text, run, deadline=run.deadline)
        return await made if inspect.isawaitable(made) else made

    return answer
