"""The agents of the demonstration: a real run with a tool call and a handoff, and a scripted model behind them.

The script replaces the model of the worker, which may be too small to call tools. The rest of the run is real.
"""

from __future__ import annotations

import json

from consumers.agent.agents import Agent
from consumers.agent.middleware import Next, Operation
from consumers.agent.models.openai_answer import decode
from consumers.agent.models.openai_wire import encode
from consumers.agent.models.port import ModelRequest, ModelResponse
from consumers.agent.tools.tool import tool
from ops.embedded.completions import completion
from ops.embedded.scenario import Scenario
from ops.embedded.scripts import ScriptedAnswer

MODEL = "scripted"
SCRIPT = Scenario.model_validate(
    {
        "rules": [
            {
                "match": {"tools": ["find_order"], "step": 0},
                "answer": {"tool_calls": [{"name": "find_order", "arguments": {"number": 7}}]},
            },
            {
                "match": {"after_tool": "find_order"},
                "answer": {"tool_calls": [{"name": "transfer_to_refunds", "arguments": {"reason": "It is broken."}}]},
            },
            {
                "match": {"system_contains": "refund"},
                "answer": {"text": "Order 7, a bicycle saddle, is refunded: 39 euros."},
            },
        ]
    }
)
"""The model's answers, step by step."""


async def answer_by_script(operation: Operation, call_next: Next) -> object:
    """Answer model calls by the script (``Middleware``); pass all other operations on."""
    if operation.kind != "model":
        return await call_next(operation)
    response = scripted(operation.value)
    operation.run.spending.add(response.usage.input_tokens, response.usage.output_tokens)
    return response


def scripted(request: ModelRequest) -> ModelResponse:
    """Return the script's answer in the form of a provider's."""
    body = json.loads(encode(request, MODEL))
    answer = completion(SCRIPT(body) or ScriptedAnswer(), body, 1)
    return decode(json.dumps(answer).encode(), {each.name for each in request.tools}, lambda _: None)


@tool(risk="read_only")
async def find_order(number: int) -> dict[str, str | int]:
    """Return the order with this number."""
    return {"number": number, "item": "bicycle saddle", "euros": 39}


helpdesk = Agent(
    "helpdesk",
    instructions="You answer for a bicycle shop. Hand returned goods over.",
    description="Demonstration: calls a tool and hands over, by a script.",
    tools=[find_order],
    handoffs=["refunds"],
    middleware=[answer_by_script],
)
refunds = Agent(
    "refunds",
    instructions="You refund orders.",
    description="Demonstration: refunds orders, by a script.",
    middleware=[answer_by_script],
)
