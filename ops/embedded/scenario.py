"""A scenario: rules that choose a scripted model's answer by the request alone, so that a resumed run meets the same.

::

    otherwise = "tools"                       # without a rule: call the tools that the user names (named_tools)

    [[rules]]
    match = { user_contains = "weather", step = 0 }
    answer = { tool_calls = [{ name = "get_weather", arguments = { city = "Oslo" } }] }

    [[rules]]
    match = { after_tool = "get_weather" }
    answer = { text = "The weather is {last_tool_result}." }

The first rule that matches answers. Placeholders: ``{user}``, ``{system}``, ``{last_tool_result}``, ``{tool_results}``
(one a line) and ``{step}``.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ops.embedded.chat_turn import ChatTurn
from ops.embedded.named_tools import call_named_tools
from ops.embedded.placeholders import PLACEHOLDERS, filled, unknown_placeholders
from ops.embedded.scripts import ChatBody, ScriptedAnswer, ScriptedValue

_QUEUE_ONLY = ScriptedAnswer().model_dump(include={"match", "times"})


class ScenarioMatch(ScriptedValue):
    """The conditions of a rule. All of them must hold; without any, the rule always matches. Case is ignored."""

    user_contains: str | None = None
    """A text within the last user message."""

    user_equals: str | None = None
    """The last user message, apart from white space around it."""

    system_contains: str | None = None
    """A text within the instructions, such as one that only one of your agents has."""

    tools: tuple[str, ...] | None = None
    """Tools that the request offers, among others. An empty list: it offers none."""

    step: Annotated[int, Field(ge=0)] | None = None
    """The number of tool results since the last user message."""

    after_tool: str | None = None
    """The tool that returned the newest result since the last user message."""

    def holds(self, turn: ChatTurn) -> bool:
        """Return True if the conversation meets all conditions."""
        return self._texts_hold(turn) and self._steps_hold(turn) and self._tools_hold(turn)

    def _texts_hold(self, turn: ChatTurn) -> bool:
        user = turn.user.casefold()
        return (
            (self.user_contains is None or self.user_contains.casefold() in user)
            and (self.user_equals is None or self.user_equals.casefold().strip() == user.strip())
            and (self.system_contains is None or self.system_contains.casefold() in turn.system.casefold())
        )

    def _steps_hold(self, turn: ChatTurn) -> bool:
        return self.step in (None, turn.step) and self.after_tool in (None, turn.last_result.tool)

    def _tools_hold(self, turn: ChatTurn) -> bool:
        offered = {tool.name for tool in turn.offered}
        if self.tools is None:
            return True
        return offered.issuperset(self.tools) if self.tools else not offered


class ScenarioRule(ScriptedValue):
    """One rule: an answer, and the conditions under which the model gives it."""

    match: ScenarioMatch = ScenarioMatch()
    answer: ScriptedAnswer

    @model_validator(mode="after")
    def _check_answer(self) -> ScenarioRule:
        if self.answer.model_dump(include=set(_QUEUE_ONLY)) != _QUEUE_ONLY:
            message = "the answer of a rule has neither `times` nor `match`: a rule is not used up"
            raise ValueError(message)
        if unknown := unknown_placeholders(self.answer):
            message = f"{{{unknown[0]}}} is no placeholder: use one of {', '.join(PLACEHOLDERS)}"
            raise ValueError(message)
        return self


class Scenario(ScriptedValue):
    """Rules in order, and the answer without a rule."""

    rules: tuple[ScenarioRule, ...] = ()
    otherwise: Literal["echo", "tools"] = "echo"
    """Without a rule, ``echo`` repeats the last user message; ``tools`` calls the tools that it names."""

    def __call__(self, body: ChatBody) -> ScriptedAnswer | None:
        """Return the answer to a request that OpenAI would accept; None for the default answer."""
        turn = ChatTurn.of(body)
        for rule in self.rules:
            if rule.match.holds(turn):
                return filled(rule.answer, turn)
        return call_named_tools(turn) if self.otherwise == "tools" else None


ANY_TOOLS = Scenario(otherwise="tools")
"""The built-in scenario, which works with any tools."""
