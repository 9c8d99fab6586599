"""Reject the tools and tool calls of a request that OpenAI's chat endpoint rejects, with its parameter and code.

Two tools of one name are refused too. OpenAI takes them and lets the model guess; Anthropic and others refuse them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ops.embedded.scripts import ScriptedError

MOST_TOOLS = 128
LONGEST_NAME = 64
_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_NEED_TOOLS = ("tool_choice", "parallel_tool_calls")


def faults_of_tools(body: dict[str, Any]) -> Iterator[ScriptedError]:
    """Yield the faults of the tools that the request offers."""
    tools = body.get("tools")
    if tools is None:
        yield from _without_tools(body)
    elif not isinstance(tools, list):
        yield ScriptedError(message="tools are an array", param="tools", code="invalid_type")
    elif not tools:
        yield ScriptedError(message="tools must not be an empty array", param="tools", code="empty_array")
    elif len(tools) > MOST_TOOLS:
        message = f"at most {MOST_TOOLS} tools, but there are {len(tools)}"
        yield ScriptedError(message=message, param="tools", code="array_above_max_length")
    else:
        yield from _faults_of_each(tools)
        yield from _faults_of_choice(body.get("tool_choice"), tools)


def faults_of_calls(calls: Any, where: str) -> Iterator[ScriptedError]:  # noqa: ANN401 - any JSON
    """Yield the faults of an assistant message's ``tool_calls``, which are at *where*."""
    if not isinstance(calls, list):
        yield ScriptedError(message="tool calls are an array", param=where, code="invalid_type")
        return
    if not calls:
        yield ScriptedError(message="tool calls must not be an empty array", param=where, code="empty_array")
    for place, call in enumerate(calls):
        yield from _faults_of_call(call, f"{where}[{place}]")
    yield from _doubles(calls, where)


def _without_tools(body: dict[str, Any]) -> Iterator[ScriptedError]:
    for name in _NEED_TOOLS:
        if body.get(name) is not None:
            yield ScriptedError(message=f"{name} is only allowed with tools", param=name)


def _faults_of_each(tools: list[Any]) -> Iterator[ScriptedError]:
    names: list[str] = []
    for place, tool in enumerate(tools):
        where = f"tools[{place}]"
        faults = list(_faults_of_tool(tool, where))
        yield from faults
        if not faults:
            names.append(tool["function"]["name"])
    for name, times in Counter(names).items():
        if times > 1:
            yield ScriptedError(message=f"{times} tools are named {name!r}", param="tools", code="invalid_value")


def _faults_of_tool(tool: Any, where: str) -> Iterator[ScriptedError]:  # noqa: ANN401 - any JSON
    if not isinstance(tool, dict) or tool.get("type") != "function":
        yield ScriptedError(message="a tool is a function", param=f"{where}.type", code="invalid_value")
        return
    function = tool.get("function")
    if not isinstance(function, dict):
        yield _missing(f"{where}.function")
        return
    yield from _faults_of_name(function.get("name"), f"{where}.function.name")
    parameters = function.get("parameters", {"type": "object"})
    if not isinstance(parameters, dict) or parameters.get("type") != "object":
        message = f"the parameters of {function.get('name')!r} must be a JSON Schema of type object"
        yield ScriptedError(message=message, param=f"{where}.function.parameters", code="invalid_function_parameters")


def _faults_of_name(name: Any, where: str) -> Iterator[ScriptedError]:  # noqa: ANN401 - any JSON
    if name is None:
        yield _missing(where)
    elif not isinstance(name, str):
        yield ScriptedError(message="a name is a text", param=where, code="invalid_type")
    elif not name:
        yield ScriptedError(message="a name must not be empty", param=where, code="empty_string")
    elif len(name) > LONGEST_NAME:
        message = f"a name has at most {LONGEST_NAME} characters, not {len(name)}"
        yield ScriptedError(message=message, param=where, code="string_above_max_length")
    elif not _NAME.fullmatch(name):
        yield ScriptedError(message=f"{name!r} has others than a-zA-Z0-9_-", param=where, code="invalid_value")


def _faults_of_choice(choice: Any, tools: list[Any]) -> Iterator[ScriptedError]:  # noqa: ANN401 - any JSON
    if choice in (None, "none", "auto", "required"):
        return
    function = choice.get("function") if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not any(isinstance(tool, dict) and tool.get("function", {}).get("name") == name for tool in tools):
        yield ScriptedError(message=f"the tool choice {choice!r} is not offered", param="tool_choice")


def _faults_of_call(call: Any, where: str) -> Iterator[ScriptedError]:  # noqa: ANN401 - any JSON
    if not isinstance(call, dict):
        yield ScriptedError(message="a tool call is an object", param=where, code="invalid_type")
        return
    if not isinstance(call.get("id"), str) or not call["id"]:
        yield _missing(f"{where}.id")
    if call.get("type") != "function":
        yield _missing(f"{where}.type")
    function = call.get("function")
    if not isinstance(function, dict):
        yield _missing(f"{where}.function")
        return
    yield from _faults_of_name(function.get("name"), f"{where}.function.name")
    if not isinstance(function.get("arguments"), str):
        message = "the arguments of a call are a text, which holds JSON"
        yield ScriptedError(message=message, param=f"{where}.function.arguments", code="invalid_type")


def _doubles(calls: list[Any], where: str) -> Iterator[ScriptedError]:
    ids = Counter(str(call.get("id")) for call in calls if isinstance(call, dict))
    for each, times in ids.items():
        if times > 1:
            yield ScriptedError(message=f"{times} tool calls have the id {each!r}", param=where, code="invalid_value")


def _missing(where: str) -> ScriptedError:
    return ScriptedError(message=f"{where} is missing or invalid", param=where, code="missing_required_parameter")
