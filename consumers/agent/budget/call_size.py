"""The most that a model call can use: an estimate of its prompt, and the output that it may write."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pydantic_core import to_json

from consumers.agent.budget.port import CallSize
from consumers.agent.models.port import AssistantMessage, Message, ModelRequest, ModelUsage
from consumers.agent.models.prices import ModelPrice

BYTES_PER_TOKEN = 3
"""UTF-8 bytes of a token: fewer than common tokenizers need for prose, so that a prompt is seldom underestimated."""

MESSAGE_TOKENS = 4
"""Tokens that a chat format adds to each message."""

DEFAULT_OUTPUT_TOKENS = 4_096


@dataclass(frozen=True, slots=True)
class SizeEstimate:
    """Estimates calls."""

    price_of: Callable[[str], ModelPrice | None] = lambda _: None
    output_tokens: int = DEFAULT_OUTPUT_TOKENS
    """The output that is reserved for a call without a maximum, as far as the limits leave it."""

    def __call__(self, request: ModelRequest, model: str) -> CallSize:
        """Return the size of a call. A model without a price costs nothing."""
        prompt, most = prompt_tokens(request), request.max_output_tokens
        price = self.price_of(model)
        return CallSize(
            prompt_tokens=prompt,
            output_tokens=max(1, self.output_tokens if most is None else most),
            least_output_tokens=1 if most is None else max(1, most),
            prompt_pico=0 if price is None else price.pico(ModelUsage(input_tokens=prompt)),
            output_pico=0 if price is None else price.pico(ModelUsage(output_tokens=1)),
        )


def prompt_tokens(request: ModelRequest) -> int:
    """Return an estimate of the prompt's tokens, from its UTF-8 bytes."""
    size = sum(_bytes(message) for message in request.messages)
    size += sum(len(each.name) + len(each.description) + len(to_json(each.parameters)) for each in request.tools)
    return -(-size // BYTES_PER_TOKEN) + MESSAGE_TOKENS * (len(request.messages) + len(request.tools))


def _bytes(message: Message) -> int:
    size = len(message.text.encode("utf-8", "surrogatepass"))
    if isinstance(message, AssistantMessage):
        size += sum(
            len(call.name) + len(call.arguments.encode("utf-8", "surrogatepass")) for call in message.tool_calls
        )
    return size
