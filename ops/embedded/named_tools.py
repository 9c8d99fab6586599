"""The built-in scenario: call the tools that the user names, each once and in order, and answer with their results.

A tool is named by its name, or by the words of its name: "get_weather Oslo" or "get weather for Oslo". Its arguments
come from the words up to the next name (``tool_arguments``); if there are none, from the words before the name.
``transfer_to_*`` are called as tools, but their results are no answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from ops.embedded.chat_turn import ChatTurn, OfferedTool
from ops.embedded.scripts import ScriptedAnswer, ScriptedToolCall
from ops.embedded.tool_arguments import arguments_of, meaningful

HANDOFF = "transfer_to_"
LONGEST = 64 * 1024
"""Characters of a user message that are searched for names."""


@dataclass(frozen=True, slots=True)
class Mention:
    """A tool that the user names, and the place of its name and its words in the text."""

    tool: OfferedTool
    text: str
    start: int
    end: int
    next_start: int

    @property
    def words(self) -> str:
        """The words that belong to the tool."""
        return meaningful(self.text[self.end : self.next_start]) or meaningful(self.text[: self.start])

    def call(self) -> ScriptedToolCall:
        """Return the call of the tool."""
        return ScriptedToolCall(
            name=self.tool.name, arguments=json.dumps(arguments_of(self.tool.parameters, self.words))
        )


def call_named_tools(turn: ChatTurn) -> ScriptedAnswer | None:
    """Return the call of the first named tool that is not called yet, else the results; None without either."""
    for mention in mentions(turn):
        if mention.tool.name not in turn.called:
            return ScriptedAnswer(tool_calls=(mention.call(),))
    texts = [result.text for result in turn.results if not result.tool.startswith(HANDOFF)]
    return ScriptedAnswer(text="\n".join(texts)) if texts else None


def mentions(turn: ChatTurn) -> Iterator[Mention]:
    """Yield the offered tools that the last user message names, in its order."""
    if not turn.offered:
        return
    text = turn.user[:LONGEST]
    tools = {_folded(tool.name): tool for tool in turn.offered}
    found = list(_names(tools).finditer(text))
    for each, following in zip_longest(found, found[1:]):
        next_start = following.start() if following else len(text)
        yield Mention(tools[_folded(each[0])], text, each.start(), each.end(), next_start)


def _names(tools: dict[str, OfferedTool]) -> re.Pattern[str]:
    """Return the pattern of all names. The longest is first: "get weather alerts" is not "get weather"."""
    names = sorted(tools, key=len, reverse=True)
    either = "|".join(re.escape(name).replace("_", "[-_ ]") for name in names)
    return re.compile(rf"(?<![\w-])(?:{either})(?![\w-])", re.IGNORECASE)


def _folded(name: str) -> str:
    return re.sub("[- ]", "_", name).casefold()
